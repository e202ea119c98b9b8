/* A forest as arrays. trees/program.py makes them and checks every index before they come here: nothing is checked again. */
#ifndef SQLINFER_FOREST_H
#define SQLINFER_FOREST_H

#include <stdint.h>

enum { FLOAT32 = 0, FLOAT64 = 1, INT32 = 2, INT64 = 3 };
enum { SUM = 0, AVERAGE = 1, MIN = 2, MAX = 3 };
enum { RANKED = 0, WALKED = 1 };
enum { NONE = 0, LOGISTIC = 1, SOFTMAX = 2, SOFTMAX_ZERO = 3 };
/* How an operation finds its rows, times four, plus where its two values come from. */
enum { BELOW = 0, WITHIN = 4, MEMBER = 8 };
enum { LEAF_LEAF = 0, LEAF_TREE = 1, TREE_LEAF = 2, TREE_TREE = 3 };
/* A level of a tree that asks one thing on each: its answers are the bits of the leaf's number. */
enum { LEVEL_BELOW = 12, LEVEL_WITHIN = 13, LEVEL_MEMBER = 14 };
enum { NAN_IS_YES = 1 << 30, IS_EQUAL = 1 << 29, IS_MEMBER = 1 << 28, FEATURE = IS_MEMBER - 1 };

/* Where the values of one column of the rows lie. */
typedef struct {
    const char *data;
    int64_t stride; /* bytes */
    int64_t kind;
} Column;

/* A set of whole numbers that walked trees ask for. */
typedef struct {
    int32_t first, size; /* the number of its lowest bit, and how many bits it has */
    int32_t at;          /* where in members, in words of 32 bits */
    int32_t exact;       /* whole numbers alone are in it; else a value is cut to one first */
} Set;

/* One node of a ranked tree; its operations stand in post-order. */
typedef struct {
    uint16_t slot;
    uint8_t code;
    uint8_t low, width; /* yes where (uint8_t)(rank - low) <= width; BELOW has low 0 */
    uint8_t yes, no;    /* leaves, where they are leaves; bits of the number, where it is a level */
    uint8_t unused;
    uint32_t members; /* MEMBER: a table of 256 bits */
} Op;

typedef struct {
    int64_t is_double; /* what is compared: thresholds and rows */
    int64_t sums_double, columns, targets, aggregate, trees, groups, has_equal, has_sets; /* in walked trees */
    int64_t classes; /* 0: values; else results are classes: 2 of one target, or as many as targets */
    int64_t transform, is_positive; /* of classes; no weight is negative */
    int64_t is_paired;              /* of two classes: the score of the first is that of the second turned round */
    const void *cuts;      /* of each column 1 << levels, sorted, padded with infinity */
    const int64_t *cut_at; /* columns */
    const int64_t *levels; /* columns; 0: the column has no rank */
    const int64_t *is_wide; /* columns; a rank of two bytes */
    const int64_t *group_kind;
    const int64_t *group_tree; /* groups + 1 */
    const int64_t *group_slot; /* groups + 1 */
    const int64_t *slot_column;
    const int64_t *slot_map; /* where in maps, for wide columns */
    const uint8_t *maps;     /* wide rank -> rank within the group */
    const int64_t *op_from;  /* trees + 1 */
    const Op *ops;
    const uint8_t *members;
    const Set *sets;
    const int64_t *node_from; /* trees + 1 */
    const int32_t *node_feature;
    const void *node_value;    /* the number of the set, where one is asked for */
    const int32_t *node_child; /* within the tree; no is the next one */
    const int32_t *node_leaf;
    const int64_t *depth;      /* trees */
    const int64_t *table_from; /* trees + 1 */
    const int64_t *table_target;
    const int64_t *table_at;
    const int64_t *table_size;
    const void *leaves;
    const void *base; /* targets */
} Forest;

#endif
