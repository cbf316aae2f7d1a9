/* key_file_decode: the input as it is; then nodes made of the input, in a file whose checksum is
 * right. Accepted are nodes in order, and nothing but the text that the encoder writes for them;
 * looking a leaf up finds what a search through all nodes finds. */
#include "lib/crypto/crypto.h"
#include "lib/keystore/key_file.h"
#include "tests/fuzz/fuzz.h"

#define NODES_MAX 48
#define NODE_BYTES 9 /* of the input: depth, prefix */

static const struct key_id key = {
    .project = {{1, 2, 3}}, .retention_class = 30, .day = 20000, .number = 0x4f3a};

static uint64_t last_leaf(const struct key_node *node)
{
    return node->depth == 0    ? UINT64_MAX
           : node->depth >= 64 ? node->prefix
                               : node->prefix | UINT64_MAX >> node->depth;
}

/* Disjoint subtrees from left to right, each named by its first leaf. */
static bool in_order(const struct key_nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) {
        const struct key_node *node = &nodes->nodes[i];
        if (node->depth > 64 || (node->depth == 0 && node->prefix != 0))
            return false;
        if (node->depth > 0 && node->depth < 64 && node->prefix << node->depth != 0)
            return false;
        if (i > 0 && last_leaf(node - 1) >= node->prefix)
            return false;
    }
    return true;
}

static void check_find(const struct key_nodes *nodes, uint64_t path)
{
    const struct key_node *above = NULL;
    for (size_t i = 0; i < nodes->count; i++)
        if (nodes->nodes[i].prefix <= path && path <= last_leaf(&nodes->nodes[i]))
            above = &nodes->nodes[i];
    CHECK(key_nodes_find(nodes, path) == above);
}

/* Accepted or refused; what was accepted is the one text of its nodes. */
static bool decoded(struct span file)
{
    struct key_nodes nodes;
    struct err err = {.code = ERR_NONE};
    BUF_AUTO struct buf again = {.max = 65536};
    if (key_file_decode(&key, file, &nodes, &err)) {
        check_error(&err);
        CHECK(err.code == ERR_CORRUPT);
        return false;
    }
    CHECK(in_order(&nodes));
    for (size_t i = 0; i < nodes.count; i++) {
        check_find(&nodes, nodes.nodes[i].prefix);
        check_find(&nodes, nodes.nodes[i].prefix - 1);
        check_find(&nodes, last_leaf(&nodes.nodes[i]));
        check_find(&nodes, last_leaf(&nodes.nodes[i]) + 1);
    }
    check_find(&nodes, 0);
    CHECK(key_file_encode(&key, &nodes, &again, &err) == 0);
    CHECK(span_eq(buf_span(&again), file));
    key_nodes_done(&nodes);
    return true;
}

static void read_nodes(const uint8_t *data, size_t size, struct key_nodes *out)
{
    for (out->count = 0; size >= NODE_BYTES && out->count < NODES_MAX; size -= NODE_BYTES) {
        struct key_node *node = &out->nodes[out->count++];
        *node = (struct key_node){.depth = data[0], .key = {data[0], 7}};
        for (size_t i = 1; i < NODE_BYTES; i++)
            node->prefix = node->prefix << 8 | data[i];
        data += NODE_BYTES;
    }
}

static void seal(struct buf *file)
{
    uint8_t digest[SHA256_BYTES];
    file->len -= sizeof digest;
    sha256(buf_span(file), digest);
    buf_add(file, digest, sizeof digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct key_node list[NODES_MAX];
    struct key_nodes nodes = {.nodes = list};
    struct err err;
    BUF_AUTO struct buf file = {.max = 65536};
    (void)decoded(span_of(data, size));
    if (size < 3)
        return 0;
    read_nodes(data + 3, size - 3, &nodes);
    CHECK(key_file_encode(&key, &nodes, &file, &err) == 0);
    CHECK(decoded(buf_span(&file)) == in_order(&nodes));
    /* One byte changed: never under the old checksum; under a new one only as its own nodes. */
    size_t at = (size_t)(data[0] << 8 | data[1]) % file.len;
    if (data[2] == 0)
        return 0;
    file.data[at] = (char)(file.data[at] ^ data[2]);
    CHECK(!decoded(buf_span(&file)));
    seal(&file);
    (void)decoded(buf_span(&file));
    return 0;
}
