/* What every cmocka program includes, in the order that cmocka wants, and small assertions. */
#pragma once
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above: cmocka.h relies on them */
#include "lib/base/err.h"
#include "lib/base/strict.h"
#include <cmocka.h>

/* For calls that must succeed: the error's text is the failure's text. */
#define assert_ok(call, err)                                                                       \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s: %s", #call, err_name((err).code), (err).message);                    \
    } while (0)

/* For calls that must fail with one code. */
#define assert_err(call, err, wanted)                                                              \
    do {                                                                                           \
        (err).code = ERR_NONE;                                                                     \
        if ((call) == 0)                                                                           \
            fail_msg("%s: succeeded, %s expected", #call, err_name(wanted));                       \
        if ((err).code != (wanted))                                                                \
            fail_msg("%s: %s expected, got %s: %s", #call, err_name(wanted), err_name((err).code), \
                     (err).message);                                                               \
    } while (0)
