/* Encoding, checking and searching a key file. Decoding trusts nothing but the checksum and still
 * verifies the order of the nodes: a binary search over unordered nodes would call leaves
 * punctured. */
#include "lib/keystore/key_file.h"
#include "lib/base/enc.h"
#include "lib/crypto/crypto.h"
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

static const char magic[16] = "rustbox key 1";

struct file_head {
    char magic[16];
    uint8_t project[16];
    uint16_t retention_class, zero1;
    uint32_t day;
    uint64_t number;
    uint32_t count, zero2;
};
struct file_node {
    uint8_t depth, zeros[7];
    uint64_t prefix;
    uint8_t key[32];
};
_Static_assert(sizeof(struct file_head) == 56, "the format has no gaps");
_Static_assert(sizeof(struct file_node) == 48, "the format has no gaps");

static struct file_head head_of(const struct key_id *key, size_t count)
{
    struct file_head head = {
        .retention_class = htobe16(key->retention_class),
        .day = htobe32((uint32_t)key->day),
        .number = htobe64(key->number),
        .count = htobe32((uint32_t)count),
    };
    memcpy(head.magic, magic, sizeof head.magic);
    memcpy(head.project, key->project.bytes, sizeof head.project);
    return head;
}

int key_file_encode(const struct key_id *key, const struct key_nodes *nodes, struct buf *out,
                    struct err *err)
{
    if (nodes->count > KEY_NODES_MAX)
        return err_set(err, ERR_TOO_LARGE, "a key file holds at most %d nodes", KEY_NODES_MAX);
    struct file_head head = head_of(key, nodes->count);
    buf_add(out, &head, sizeof head);
    for (size_t i = 0; i < nodes->count; i++) {
        struct file_node node = {.depth = nodes->nodes[i].depth,
                                 .prefix = htobe64(nodes->nodes[i].prefix)};
        memcpy(node.key, nodes->nodes[i].key, sizeof node.key);
        buf_add(out, &node, sizeof node);
        wipe(&node, sizeof node);
    }
    uint8_t digest[SHA256_BYTES];
    sha256(buf_span(out), digest);
    buf_add(out, digest, sizeof digest);
    return out->failed ? err_set(err, ERR_NO_MEMORY, "key file") : 0;
}

/* Bits of a path above a depth. */
static uint64_t mask_of(unsigned depth)
{
    return depth == 0 ? 0 : UINT64_MAX << (TREE_DEPTH - depth);
}

static int decode_nodes(const uint8_t *in, struct key_nodes *out)
{
    for (size_t i = 0; i < out->count; i++) {
        struct file_node raw;
        memcpy(&raw, in + i * sizeof raw, sizeof raw);
        struct key_node *node = &out->nodes[i];
        node->depth = raw.depth;
        node->prefix = be64toh(raw.prefix);
        memcpy(node->key, raw.key, sizeof node->key);
        bool zero = memcmp(raw.zeros, (const uint8_t[sizeof raw.zeros]){0}, sizeof raw.zeros) == 0;
        wipe(&raw, sizeof raw);
        if (!zero || node->depth > TREE_DEPTH || (node->prefix & ~mask_of(node->depth)))
            return -1;
        /* the last leaf under the node before comes before this node's first */
        if (i > 0 && (node[-1].prefix | ~mask_of(node[-1].depth)) >= node->prefix)
            return -1;
    }
    return 0;
}

int key_file_decode(const struct key_id *key, struct span bytes, struct key_nodes *out,
                    struct err *err)
{
    struct file_head found;
    uint8_t digest[SHA256_BYTES];
    if (bytes.len < sizeof found + sizeof digest)
        return err_set(err, ERR_CORRUPT, "a key file of %zu bytes", bytes.len);
    size_t covered = bytes.len - sizeof digest, body = covered - sizeof found;
    memcpy(&found, bytes.data, sizeof found);
    size_t count = be32toh(found.count);
    if (count > KEY_NODES_MAX || body != count * sizeof(struct file_node))
        return err_set(err, ERR_CORRUPT, "a key file of %zu bytes", bytes.len);
    struct file_head wanted = head_of(key, count);
    sha256(span_of(bytes.data, covered), digest);
    if (memcmp(digest, (const uint8_t *)bytes.data + covered, sizeof digest) != 0)
        return err_set(err, ERR_CORRUPT, "the checksum of the key file is wrong");
    if (memcmp(&found, &wanted, sizeof wanted) != 0)
        return err_set(err, ERR_CORRUPT, "the key file is another key's");
    struct key_nodes nodes = {.nodes = calloc(count + 1, sizeof *nodes.nodes), .count = count};
    if (!nodes.nodes)
        return err_set(err, ERR_NO_MEMORY, "key file");
    if (decode_nodes((const uint8_t *)bytes.data + sizeof found, &nodes)) {
        key_nodes_done(&nodes);
        return err_set(err, ERR_CORRUPT, "the key file's nodes are not in order");
    }
    *out = nodes;
    return 0;
}

void key_nodes_done(struct key_nodes *nodes)
{
    if (nodes->nodes)
        wipe(nodes->nodes, nodes->count * sizeof *nodes->nodes);
    free(nodes->nodes);
    *nodes = (struct key_nodes){0};
}

const struct key_node *key_nodes_find(const struct key_nodes *nodes, uint64_t path)
{
    size_t low = 0, high = nodes->count; /* the last node whose prefix is not above the path */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (nodes->nodes[middle].prefix <= path)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    const struct key_node *node = &nodes->nodes[low - 1];
    return (path & mask_of(node->depth)) == node->prefix ? node : NULL;
}
