/* The format of a key file; inside lib/keystore and its tests only.
 *
 *   magic "rustbox key 1\0\0\0" | project 16 | class u16 | zero u16 | day i32 | number u64 | count
 * u32 | zero u32 | count * (depth u8, 7 zeros, prefix u64, key 32) | SHA-256 of all before
 *
 * Integers are big-endian. Nodes are disjoint subtrees in ascending order; a prefix is left-aligned
 * with zeros below its depth. A new file has one node, the root (depth 0, prefix 0); puncturing a
 * leaf replaces the node above it by the siblings on the way down. A leaf under no node is
 * punctured. */
#pragma once
#include "lib/keystore/keystore.h"

struct key_node {
    uint8_t key[32];
    uint64_t prefix;
    uint8_t depth; /* 0..64 */
};
struct key_nodes {
    struct key_node *nodes; /* owned; wiped by key_nodes_done */
    size_t count;
};
#define KEY_NODES_MAX 65536
#define KEY_FILE_MAX (16 + 40 + (size_t)KEY_NODES_MAX * 48 + 32)

int key_file_encode(const struct key_id *key, const struct key_nodes *nodes, struct buf *out,
                    struct err *err) MUST_CHECK;
/* ERR_CORRUPT: not a whole, undamaged file of this key. */
int key_file_decode(const struct key_id *key, struct span bytes, struct key_nodes *out,
                    struct err *err) MUST_CHECK;
void key_nodes_done(struct key_nodes *nodes);
/* The node above the leaf at `path`, or NULL: punctured. */
const struct key_node *key_nodes_find(const struct key_nodes *nodes, uint64_t path);
