/* The loader and the extension of the Python template, as bytes in the launcher's own file: nothing
 * to install beside it, and both ends of template_wire.h always come from one build. */
#include "sandbox/template_blob.h"
#include "sandbox/template.h"

#ifdef TEMPLATE_EXTENSION
#define BYTES(name, path)                                                                          \
    __asm__(".section .rodata\n"                                                                   \
            ".balign 16\n" #name ":\n"                                                             \
            ".incbin \"" path "\"\n" #name "_end:\n"                                               \
            ".previous\n")
BYTES(template_loader_at, TEMPLATE_LOADER);
BYTES(template_extension_at, TEMPLATE_EXTENSION);
extern const char template_loader_at[], template_loader_at_end[];
extern const char template_extension_at[], template_extension_at_end[];

struct span template_loader(void)
{
    return span_of(template_loader_at, (size_t)(template_loader_at_end - template_loader_at));
}

struct span template_extension(void)
{
    return span_of(template_extension_at,
                   (size_t)(template_extension_at_end - template_extension_at));
}
#else
struct span template_loader(void)
{
    return span_of("", 0);
}

struct span template_extension(void)
{
    return span_of("", 0);
}
#endif

bool template_built(void)
{
    return template_extension().len > 0;
}
