/* escape: layers=always */
class Main {
    public static void main(String[] args) {
        System.exit(1);
    }
}
@@FILE META-INF/services/javax.annotation.processing.Processor
Processor
@@FILE Processor.java
import java.util.Set;
import javax.annotation.processing.*;
import javax.lang.model.element.TypeElement;

@SupportedAnnotationTypes("*")
public class Processor extends AbstractProcessor {
    static {
        System.exit(3); /* then the compile fails: it ran there */
    }

    public boolean process(Set<? extends TypeElement> types, RoundEnvironment round) {
        System.exit(3);
        return false;
    }
}
