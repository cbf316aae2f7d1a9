/* lib/base/address: the table of addresses.tsv, spellings as the C library's resolver reads them,
 * and what an operator's list opens. */
#include "lib/base/address.h"
#include "tests/unit/unit.h"
#include <netdb.h>
#include <sys/socket.h>

static struct err err;

static struct address parsed(const char *text)
{
    struct address address;

    if (address_parse(span_text(text), &address))
        fail_msg("%s is no address", text);
    return address;
}

static void every_address_of_the_table_has_its_class(void **state)
{
    FILE *file = fopen("tests/unit/addresses.tsv", "r");
    char line[128], text[64], class[32];
    size_t seen[ADDRESS_CLASS_COUNT] = {0}, count = 0, wrong = 0;

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#')
            continue;
        assert_int_equal(sscanf(line, "%63s %31s", text, class), 2);
        struct address address = parsed(text);
        enum address_class got = address_class(&address);
        struct address_policy none = {0};
        if (strcmp(address_class_name(got), class) != 0) {
            print_error("%s: %s, wanted is %s\n", text, address_class_name(got), class);
            wrong++;
        }
        assert_true(address_permitted(&none, &address) == (got == ADDRESS_public));
        seen[got]++;
        count++;
    }
    fclose(file);
    assert_int_equal(wrong, 0);
    assert_true(count > 150);
    for (unsigned c = 0; c < ADDRESS_CLASS_COUNT; c++)
        if (seen[c] == 0)
            fail_msg("the table has no address of class %s", address_class_name(c));
}

/* What a URL may write; the resolver turns it into the binary address that is judged. */
static void every_spelling_is_judged_as_its_address(void **state)
{
    static const struct {
        const char *spelling;
        enum address_class class;
    } cases[] = {
        {"127.0.0.1", ADDRESS_loopback},
        {"127.1", ADDRESS_loopback},
        {"127.0.1", ADDRESS_loopback},
        {"2130706433", ADDRESS_loopback},
        {"0x7f000001", ADDRESS_loopback},
        {"0x7f.1", ADDRESS_loopback},
        {"0x7F.0x0.0x0.0x1", ADDRESS_loopback},
        {"017700000001", ADDRESS_loopback},
        {"0177.0.0.01", ADDRESS_loopback},
        {"0177.1", ADDRESS_loopback},
        {"0", ADDRESS_unspecified},
        {"0x0", ADDRESS_unspecified},
        {"167772161", ADDRESS_private},
        {"012.0.0.1", ADDRESS_private},
        {"0xa9fea9fe", ADDRESS_metadata},
        {"2852039166", ADDRESS_metadata},
        {"169.254.43518", ADDRESS_metadata},
        {"0xa9.0xfe.0251.254", ADDRESS_metadata},
        {"192.168.257", ADDRESS_private},
        {"::ffff:7f00:1", ADDRESS_loopback},
        {"0:0:0:0:0:ffff:127.0.0.1", ADDRESS_loopback},
        {"0000::0001", ADDRESS_loopback},
        {"fe80::1%1", ADDRESS_link_local},
        {"134744072", ADDRESS_public},
        {"0x08.010.8.8", ADDRESS_public},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *found;
        struct address address;
        if (getaddrinfo(cases[i].spelling, NULL, &hints, &found) != 0)
            fail_msg("%s cannot be read", cases[i].spelling);
        assert_int_equal(address_of(found->ai_addr, &address), 0);
        freeaddrinfo(found);
        if (address_class(&address) != cases[i].class)
            fail_msg("%s: %s", cases[i].spelling, address_class_name(address_class(&address)));
    }
}

static void only_canonical_texts_are_read(void **state)
{
    static const char *const bad[] = {"",          "127.1",  "0x7f.1", "1.2.3.4.5", "1.2.3.04",
                                      "1.2.3.256", "::1%lo", "[::1]",  " 1.2.3.4",  "localhost"};
    struct address address;
    char text[ADDRESS_TEXT];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (address_parse(span_text(bad[i]), &address) == 0)
            fail_msg("'%s' was read", bad[i]);
    address = parsed("2001:DB8:0::1");
    address_format(&address, text);
    assert_string_equal(text, "2001:db8::1");
    address = (struct address){.len = 7};
    address_format(&address, text);
    assert_string_equal(text, "");
    assert_int_equal(address_class(&address), ADDRESS_reserved);
    assert_false(address_permitted(&(struct address_policy){0}, &address));
}

static void other_families_are_refused(void **state)
{
    struct sockaddr unix_socket = {.sa_family = AF_UNIX};
    struct address address;

    (void)state;
    assert_int_equal(address_of(&unix_socket, &address), -1);
    assert_false(address_permitted(&(struct address_policy){0}, &address));
}

static void the_operator_opens_what_is_listed_and_no_more(void **state)
{
    static const struct {
        const char *list, *address;
        bool open;
    } cases[] = {
        {"10.1.0.0/16", "10.1.2.3", true},
        {"10.1.0.0/16", "10.2.0.0", false},
        {"10.1.0.0/16", "127.0.0.1", false},
        {"10.1.0.0/16", "8.8.8.8", true},
        {"10.1.0.0/16", "::ffff:10.1.2.3", true}, /* the same destination */
        {"10.1.0.0/16", "64:ff9b::10.1.2.3", false},
        {"10.1.0.0/16", "2002:a01:203::1", false},
        {"127.0.0.0/8, ::1/128", "127.9.9.9", true},
        {"127.0.0.0/8, ::1/128", "::1", true},
        {"127.0.0.0/8, ::1/128", "::2", false},
        {"64:ff9b::/96", "64:ff9b::8.8.8.8", true},
        {"64:ff9b::/96", "64:ff9b::10.0.0.1", false}, /* what it carries is judged too */
        {"64:ff9b::/96", "64:ff9b::169.254.169.254", false},
        {"64:ff9b::/96,10.0.0.0/8", "64:ff9b::10.0.0.1", true},
        {"2002::/16", "2002:7f00:1::1", false},
        {"::ffff:0:0/96", "::ffff:127.0.0.1", false}, /* a mapped address is the one inside */
        {"0.0.0.0/0", "169.254.169.254", true},
        {"0.0.0.0/0", "::1", false},
        {"192.168.1.7/32", "192.168.1.7", true},
        {"192.168.1.7/32", "192.168.1.6", false},
        {"fd00::/9", "fd7f::1", true},
        {"fd00::/9", "fd80::1", false},
        {"", "192.168.1.7", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct address_policy policy;
        struct address address = parsed(cases[i].address);
        assert_ok(address_policy_parse(cases[i].list, &policy, &err), err);
        if (address_permitted(&policy, &address) != cases[i].open)
            fail_msg("%s with '%s'", cases[i].address, cases[i].list);
    }
}

static void a_malformed_list_is_refused_with_its_rule(void **state)
{
    static const char *const bad[] = {"10.0.0.0",      "10.0.0.0/33", "10.0.0.0/",   "10.1/16",
                                      "::1/129",       "10.0.0.1/8",  "localhost/8", "/8",
                                      "10.0.0.0/8;::", "10.0.0.0/-1", "0x0a.0.0.0/8"};
    struct address_policy policy;
    char many[ADDRESS_NETWORKS_MAX * 16 + 32] = "";

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_err(address_policy_parse(bad[i], &policy, &err), err, ERR_CONFIG);
    for (size_t i = 0; i <= ADDRESS_NETWORKS_MAX; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "10.0.0.0/8,");
    assert_err(address_policy_parse(many, &policy, &err), err, ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_of_the_table_has_its_class),
        cmocka_unit_test(every_spelling_is_judged_as_its_address),
        cmocka_unit_test(only_canonical_texts_are_read),
        cmocka_unit_test(other_families_are_refused),
        cmocka_unit_test(the_operator_opens_what_is_listed_and_no_more),
        cmocka_unit_test(a_malformed_list_is_refused_with_its_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
