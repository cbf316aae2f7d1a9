/* lib/http/post without some of its protections (tests/support/off.h), for test_post. */
#pragma once
#include <stddef.h>

size_t post_off_lookups(void); /* of names by the C library: a sender that has judged a name asks no
                                  second time */
