/* lib/crypto against published vectors, and the tree against vectors of its own. */
#include "lib/base/enc.h"
#include "lib/crypto/crypto.h"
#include "tests/unit/unit.h"

/* A source that hands out the nonce of a test vector. */
static void fixed_fill(struct rnd *rnd, void *out, size_t len)
{
    (void)rnd;
    static const uint8_t nonce[12] = {0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce,
                                      0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88};
    assert_int_equal(len, sizeof nonce);
    memcpy(out, nonce, sizeof nonce);
}

static size_t unhex(const char *text, uint8_t *out)
{
    size_t len = strlen(text) / 2;
    assert_int_equal(hex_decode(span_text(text), out, len), 0);
    return len;
}

#define assert_hex(bytes, len, wanted)                                                             \
    do {                                                                                           \
        char text_[600];                                                                           \
        hex_encode((bytes), (len), text_);                                                         \
        assert_string_equal(text_, (wanted));                                                      \
    } while (0)

/* Test case 16 of the GCM specification (McGrew, Viega; used by NIST SP 800-38D). */
static void gcm_vector(void **state)
{
    (void)state;
    uint8_t key[KEY_BYTES], plain[60], aad[20];
    unhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", key);
    size_t plain_len = unhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                             "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
                             plain);
    size_t aad_len = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2", aad);
    struct rnd rnd = {.fill = fixed_fill};
    struct err err = {0};
    BUF_AUTO struct buf sealed = {.max = 1000};
    assert_ok(aead_seal(key, &rnd, span_of(aad, aad_len), span_of(plain, plain_len), &sealed, &err),
              err);
    assert_hex(
        sealed.data, sealed.len,
        "cafebabefacedbaddecaf888522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555"
        "d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853"
        "bb2d551b");
}

static void aead_refuses_what_was_changed(void **state)
{
    (void)state;
    struct rnd rnd = rnd_system();
    struct err err = {0};
    uint8_t key[KEY_BYTES];
    rnd_fill(&rnd, key, sizeof key);
    BUF_AUTO struct buf sealed = {.max = 1000}, again = {.max = 1000}, out = {.max = 1000};
    assert_ok(aead_seal(key, &rnd, SPAN_LIT("aad"), SPAN_LIT("secret"), &sealed, &err), err);
    assert_ok(aead_seal(key, &rnd, SPAN_LIT("aad"), SPAN_LIT("secret"), &again, &err), err);
    assert_int_equal(sealed.len, 6 + AEAD_OVERHEAD);
    assert_memory_not_equal(sealed.data, again.data, sealed.len); /* another nonce */
    buf_puts(&out, "kept ");
    assert_ok(aead_open(key, SPAN_LIT("aad"), buf_span(&sealed), &out, &err), err);
    assert_string_equal(buf_text(&out), "kept secret");
    for (size_t i = 0; i < sealed.len; i++) {
        sealed.data[i] ^= 1;
        assert_err(aead_open(key, SPAN_LIT("aad"), buf_span(&sealed), &out, &err), err,
                   ERR_CORRUPT);
        sealed.data[i] ^= 1;
    }
    for (size_t len = 0; len < sealed.len; len++)
        assert_err(aead_open(key, SPAN_LIT("aad"), span_of(sealed.data, len), &out, &err), err,
                   ERR_CORRUPT);
    assert_err(aead_open(key, SPAN_LIT("aae"), buf_span(&sealed), &out, &err), err, ERR_CORRUPT);
    key[31] ^= 1;
    assert_err(aead_open(key, SPAN_LIT("aad"), buf_span(&sealed), &out, &err), err, ERR_CORRUPT);
    assert_string_equal(buf_text(&out), "kept secret"); /* failures append nothing */
    BUF_AUTO struct buf small = {.max = 10};
    assert_err(aead_seal(key, &rnd, SPAN_LIT(""), SPAN_LIT("x"), &small, &err), err, ERR_TOO_LARGE);
    buf_clear(&again);
    assert_ok(aead_seal(key, &rnd, span_of(NULL, 0), span_of(NULL, 0), &again, &err), err);
    buf_clear(&out);
    assert_ok(aead_open(key, span_of(NULL, 0), buf_span(&again), &out, &err), err);
    assert_int_equal(out.len, 0);
}

static void sha256_vectors(void **state)
{
    (void)state;
    uint8_t out[SHA256_BYTES]; /* FIPS 180-2, appendix B */
    sha256(SPAN_LIT("abc"), out);
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256(span_of(NULL, 0), out);
    assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    const struct span parts[] = {SPAN_LIT("abcdbcdecdefdefgefghfghighijhi"), SPAN_LIT(""),
                                 SPAN_LIT("jkijkljklmklmnlmnomnopnopq")};
    sha256_parts(parts, 3, out);
    assert_hex(out, 32, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void hmac_vectors(void **state)
{
    (void)state;
    uint8_t out[SHA256_BYTES], key[131]; /* RFC 4231, cases 1, 2, 6 */
    memset(key, 0x0b, 20);
    hmac_sha256(span_of(key, 20), SPAN_LIT("Hi There"), out);
    assert_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    const struct span parts[] = {SPAN_LIT("what do ya want "), SPAN_LIT("for nothing?")};
    hmac_sha256_parts(SPAN_LIT("Jefe"), parts, 2, out);
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    hmac_sha256(span_of(key, sizeof key),
                SPAN_LIT("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    hmac_sha256(span_of(NULL, 0), span_of(NULL, 0), out); /* an empty key is not the last one */
    assert_hex(out, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* Computed once with another implementation (tests/unit/tree_vectors.py); they must never change.
 */
static void tree_vectors(void **state)
{
    (void)state;
    uint8_t root[KEY_BYTES], out[KEY_BYTES], middle[KEY_BYTES];
    for (int i = 0; i < KEY_BYTES; i++)
        root[i] = (uint8_t)i;
    struct uuid id;
    assert_int_equal(uuid_parse(SPAN_LIT("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), &id), 0);
    uint64_t path = tree_path(&id);
    assert_true(path == UINT64_C(0x4e2e22477383ff21));
    tree_descend(root, 0, 0, 1, out);
    assert_hex(out, 32, "f29000b62a499fd0a9f39a6add2e7780f05d76ae4ab99fe5a6f69b3148c2363d");
    tree_descend(root, 0, UINT64_MAX, 1, out);
    assert_hex(out, 32, "0ebcb5deb52c83bd08a8a935182c9199d24356532881602f809eb383c5ff5d56");
    tree_descend(root, 0, path, TREE_DEPTH, out);
    assert_hex(out, 32, "48ba667f3db4f723b67aee0b9306f8a444553a816ebac849bccc0f2223db142c");
    for (unsigned depth = 0; depth <= TREE_DEPTH; depth++) { /* any stop on the way, same leaf */
        uint8_t leaf[KEY_BYTES];
        tree_descend(root, 0, path, depth, middle);
        tree_descend(middle, depth, path, TREE_DEPTH, leaf);
        assert_memory_equal(leaf, out, sizeof leaf);
    }
}

static void comparing_and_wiping(void **state)
{
    (void)state;
    assert_true(equal_ct("abc", "abc", 3));
    assert_false(equal_ct("abc", "abd", 3));
    char text[] = "secret";
    wipe(text, sizeof text);
    assert_memory_equal(text, "\0\0\0\0\0\0", sizeof text);
    struct buf buf = {.max = 100};
    wipe_buf(&buf);
    buf_puts(&buf, "x");
    wipe_buf(&buf);
    assert_null(buf.data);
}

/* RFC 8032 part 7.1, tests 1 and 2. */
static void ed25519_vectors(void **state)
{
    static const struct {
        const char *seed, *public, *message, *signature;
        size_t len;
    } vectors[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701"
         "c"
         "f9b46bd25bf5f0595bbe24655141438e7a100b",
         0},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "\x72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d"
         "0"
         "f11d8c387b2eaeb4302aeeb00d291612bb0c00",
         1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        uint8_t seed[ED25519_SEED_BYTES], public[ED25519_PUBLIC_BYTES];
        uint8_t signature[ED25519_SIGNATURE_BYTES];
        assert_int_equal(hex_decode(span_text(vectors[i].seed), seed, sizeof seed), 0);
        ed25519_public(seed, public);
        assert_hex(public, sizeof public, vectors[i].public);
        ed25519_sign(seed, span_of(vectors[i].message, vectors[i].len), signature);
        assert_hex(signature, sizeof signature, vectors[i].signature);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gcm_vector),      cmocka_unit_test(aead_refuses_what_was_changed),
        cmocka_unit_test(sha256_vectors),  cmocka_unit_test(hmac_vectors),
        cmocka_unit_test(tree_vectors),    cmocka_unit_test(comparing_and_wiping),
        cmocka_unit_test(ed25519_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
