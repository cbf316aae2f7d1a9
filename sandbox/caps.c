/* The few calls behind caps.h; raw, because no library for it is linked. */
#include "sandbox/caps.h"
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int caps_drop_bounding(void)
{
    for (int cap = 0, set; (set = prctl(PR_CAPBSET_READ, cap)) >= 0; cap++)
        if (set && prctl(PR_CAPBSET_DROP, cap) != 0)
            return -1;
    return 0;
}

int caps_keep_over_exec(uint64_t bits)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &head, data) != 0)
        return -1;
    for (int i = 0; i < 2; i++)
        data[i].inheritable = data[i].permitted & (uint32_t)(bits >> (32 * i));
    return syscall(SYS_capset, &head, data) == 0 ? 0 : -1;
}

int caps_only_over_exec(uint64_t bits)
{
    return caps_keep_over_exec(bits) == 0 ? caps_drop_bounding() : -1;
}
