/* escape: layers=view cause=compile_error */
__asm__(".globl secret\nsecret: .incbin \"/..@DIR@/secret\"\n.byte 0\n");
extern const char secret[];
int main(void) { puts(secret); return 0; }
