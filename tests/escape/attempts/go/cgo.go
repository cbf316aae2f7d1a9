/* escape: layers=always cause=compile_error */
package main

// #include <stdio.h>
import "C"

func main() {
	C.puts(C.CString("ESCAPED"))
}
