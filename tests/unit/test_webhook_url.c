/* schemas/webhook_url: which URLs an endpoint may have, and that refusals say the rule, never the
 * URL. */
#include "schemas/webhook.h"
#include "schemas/webhook_url.h"
#include "tests/unit/unit.h"

static struct webhook_url_policy strict, lenient;

/* rule: a part of the message, or NULL: accepted. */
static const struct {
    const char *url, *rule;
} cases[] = {
    {"https://example.com", NULL},
    {"https://example.com/", NULL},
    {"HTTPS://Example.COM/Hook?a=b&c=%20", NULL},
    {"https://example.com:8443/x", NULL},
    {"https://xn--mnchen-3ya.example/h", NULL},
    {"https://a-b.c_d.example.com/", NULL},
    {"https://8.8.8.8/", NULL},
    {"https://[2606:4700:4700::1111]:443/", NULL},
    {"https://example.com/a:b@c", NULL}, /* after the authority they are plain characters */
    {"https://example.com?x=http://y", NULL},
    {"", "1 to 2048 bytes"},
    {"http://example.com/", "must begin with https://"},
    {"ftp://example.com/", "must begin with https://"},
    {"https:/example.com/", "must begin with https://"},
    {"//example.com/", "must begin with https://"},
    {"javascript:alert(1)", "must begin with https://"},
    {"https://", "has no host"},
    {"https:///path", "has no host"},
    {"https://:443/", "has no host"},
    {"https://user@example.com/", "user name"},
    {"https://user:pw@example.com/", "user name"},
    {"https://example.com@127.0.0.1/", "user name"},
    {"https://example.com/#frag", "fragment"},
    {"https://example.com#", "fragment"},
    {"https://example.com/a b", "spaces or control"},
    {" https://example.com/", "spaces or control"},
    {"https://example.com/\r\nHost: x", "spaces or control"},
    {"https://example.com/\x7f", "spaces or control"},
    {"https://m\xc3\xbcnchen.example/", "xn--"},
    {"https://example.com/\xe2\x80\xa8", "ASCII"},
    {"https://example.com\\@evil.example/", "percent-encoded"},
    {"https://example.com/<x>", "percent-encoded"},
    {"https://example.com/%", "two hexadecimal"},
    {"https://example.com/%2", "two hexadecimal"},
    {"https://example.com/%zz", "two hexadecimal"},
    {"https://ex%61mple.com/", "character that names do not have"},
    {"https://example..com/", "malformed host name"},
    {"https://.example.com/", "malformed host name"},
    {"https://example.com./", "malformed host name"},
    {"https://-a.example/", "malformed host name"},
    {"https://a-.example/", "malformed host name"},
    {"https://xn--.example/", "malformed host name"},
    {"https://exa$mple.com/", "character that names do not have"},
    {"https://intranet/", "without a domain"},
    {"https://example.com:22/", "port 22"},
    {"https://example.com:80/", "port 80"},
    {"https://example.com:/", "has a port that is not"},
    {"https://example.com:0/", "has a port that is not"},
    {"https://example.com:65536/", "has a port that is not"},
    {"https://example.com:+443/", "has a port that is not"},
    {"https://example.com:443:443/", "has a port that is not"},
    {"https://localhost/", "loopback"},
    {"https://a.LocalHost:8443/", "loopback"},
    {"https://127.0.0.1/", "loopback"},
    {"https://127.1/", "loopback"},
    {"https://0x7f.1/", "loopback"},
    {"https://0x7f000001/", "loopback"},
    {"https://2130706433/", "loopback"},
    {"https://0177.0.0.01/", "loopback"},
    {"https://10.0.0.1/", "may not reach"},
    {"https://169.254.169.254/latest/meta-data", "may not reach"},
    {"https://0.0.0.0/", "may not reach"},
    {"https://100.64.0.1/", "may not reach"},
    {"https://256.1.1.1/", "malformed IPv4"},
    {"https://1.2.3.4.5/", "malformed IPv4"},
    {"https://example.0x/", "malformed IPv4"},
    {"https://[::1]/", "loopback"},
    {"https://[::ffff:10.0.0.1]/", "may not reach"},
    {"https://[64:ff9b::7f00:1]/", "may not reach"},
    {"https://[fe80::1%25eth0]/", "malformed IPv6"},
    {"https://[fd00::1]/", "may not reach"},
    {"https://[::1/", "malformed IPv6"},
    {"https://[::1]x/", "malformed IPv6"},
    {"https://[8.8.8.8]/", "malformed IPv6"},
    {"https://[]/", "malformed IPv6"},
};

static void each_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = {.code = ERR_NONE};
        int rc = webhook_url_check(&strict, span_text(cases[i].url), &err);
        if ((rc != 0) != (cases[i].rule != NULL))
            fail_msg("%s: %s", cases[i].url, rc ? err.message : "accepted");
        if (!rc)
            continue;
        assert_int_equal(err.code, ERR_INVALID);
        if (!strstr(err.message, cases[i].rule))
            fail_msg("%s: %s", cases[i].url, err.message);
        if (cases[i].url[0] && strstr(err.message, cases[i].url))
            fail_msg("repeated: %s", err.message);
    }
}

static void bounds(void **state)
{
    (void)state;
    struct err err;
    char url[WEBHOOK_URL_MAX + 2] = "https://example.com/";
    size_t len = strlen(url);
    memset(url + len, 'x', sizeof url - len);
    assert_ok(webhook_url_check(&strict, span_of(url, WEBHOOK_URL_MAX), &err), err);
    assert_err(webhook_url_check(&strict, span_of(url, WEBHOOK_URL_MAX + 1), &err), err,
               ERR_INVALID);
    assert_err(webhook_url_check(&strict, SPAN_LIT("https://example.com/\0x"), &err), err,
               ERR_INVALID);
    char host[400] = "https://";
    for (int i = 0; i < 64; i++)
        strncat(host, "abc.", 5);
    strncat(host, "example/", 9); /* 263 characters */
    assert_err(webhook_url_check(&strict, span_text(host), &err), err, ERR_INVALID);
    char label[100] = "https://";
    memset(label + 8, 'a', 64);
    memcpy(label + 72, ".example", 9);
    assert_err(webhook_url_check(&strict, span_text(label), &err), err, ERR_INVALID);
}

/* What an operator allows for tests and private networks, and nothing beside it. */
static void the_operator_decides(void **state)
{
    (void)state;
    struct err err;
    static const char *const fine[] = {"http://127.0.0.1:9999/", "http://localhost:81/x",
                                       "https://receiver:1234/", "http://10.1.2.3/",
                                       "http://[::1]:8080/"};
    static const char *const refused[] = {"http://10.2.0.1/", "http://169.254.169.254/",
                                          "ftp://10.1.2.3/", "http://u@127.0.0.1/"};
    for (size_t i = 0; i < COUNT_OF(fine); i++)
        assert_ok(webhook_url_check(&lenient, span_text(fine[i]), &err), err);
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        assert_err(webhook_url_check(&lenient, span_text(refused[i]), &err), err, ERR_INVALID);
}

static void settings_are_checked(void **state)
{
    (void)state;
    struct err err;
    struct webhook_url_policy out;
    static const char *const bad[][3] = {
        {"ftp", "443", ""},       {"https", "", ""},       {"https", "0", ""},
        {"https", "65536", ""},   {"https", "443;80", ""}, {"https", "443", "10.0.0.0/33"},
        {"https", "443", "nope"}, {"http", "443", ""},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        err.code = ERR_NONE;
        if (webhook_url_policy(bad[i][0], bad[i][1], bad[i][2], &out, &err) == 0)
            fail_msg("accepted: %s %s %s", bad[i][0], bad[i][1], bad[i][2]);
    }
    assert_ok(webhook_url_policy("https", " 443, 8443 ", "", &out, &err), err);
    assert_int_equal(out.port_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule),
        cmocka_unit_test(bounds),
        cmocka_unit_test(the_operator_decides),
        cmocka_unit_test(settings_are_checked),
    };
    struct err err;
    if (webhook_url_policy("https", "443,8443", "", &strict, &err) ||
        webhook_url_policy("http,https", "any", "127.0.0.0/8,::1/128,10.1.0.0/16", &lenient, &err))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
