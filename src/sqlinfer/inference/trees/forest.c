/*
 * Decision forests over columns, with the bits of ONNX Runtime: sums start at zero and add the trees in their order.
 *
 * Ranked trees (at most 256 leaves): a column becomes its rank among the thresholds of the trees, a byte. A node is one
 * comparison of many bytes, and its result picks, for each row, between the leaf numbers that its two sides have found.
 * No row takes a branch. Walked trees: rows go down in lockstep, by gathers.
 *
 * This file is compiled once for each instruction set (FOREST_RUN names the result); dispatch.c picks one.
 */
#include "forest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define WIDE 1
#define VB 64
#elif defined(__AVX2__)
#define VB 32
#else
#define VB 16
#endif

#define NV 4
#define CHUNK (VB * NV) /* rows of one operation */
#define BLOCK 1024      /* rows whose ranks lie in the cache */
#define STACK 256       /* values of a tree that wait; program.py holds trees to it */
#define MISSING 255

/* ---- vectors of bytes */

#if defined(WIDE)
typedef __m512i V;
typedef __mmask64 M;
static inline V load(const uint8_t *p) { return _mm512_loadu_si512(p); }
static inline void store(uint8_t *p, V v) { _mm512_storeu_si512(p, v); }
static inline V all(uint8_t b) { return _mm512_set1_epi8((char)b); }
static inline V minus(V a, V b) { return _mm512_sub_epi8(a, b); }
static inline V either(V a, V b) { return _mm512_or_si512(a, b); }
static inline M below(V a, V b) { return _mm512_cmple_epu8_mask(a, b); }
static inline V pick(M m, V yes, V no) { return _mm512_mask_blend_epi8(m, no, yes); }
static inline M member(V q, const uint8_t *bits) {
    V low = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)bits));
    V high = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)(bits + 16)));
    V place = _mm512_and_si512(_mm512_srli_epi16(q, 3), all(31));
    V one = _mm512_shuffle_epi8(_mm512_set1_epi64((long long)0x8040201008040201ULL), _mm512_and_si512(q, all(7)));
    __mmask64 upper = _mm512_test_epi8_mask(place, all(16));
    V byte = pick(upper, _mm512_shuffle_epi8(high, _mm512_and_si512(place, all(15))),
                  _mm512_shuffle_epi8(low, _mm512_and_si512(place, all(15))));
    return _mm512_test_epi8_mask(byte, one);
}
#else
typedef uint8_t V __attribute__((vector_size(VB)));
typedef V M;
static inline V load(const uint8_t *p) {
    V v;
    memcpy(&v, p, VB);
    return v;
}
static inline void store(uint8_t *p, V v) { memcpy(p, &v, VB); }
static inline V all(uint8_t b) { return (V){0} + b; }
static inline V minus(V a, V b) { return a - b; }
static inline V either(V a, V b) { return a | b; }
static inline M below(V a, V b) { return (M)(a <= b); }
#if VB == 32
static inline V pick(M m, V yes, V no) { return (V)_mm256_blendv_epi8((__m256i)no, (__m256i)yes, (__m256i)m); }
static inline M member(V q, const uint8_t *bits) {
    __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)bits));
    __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)(bits + 16)));
    V place = q >> 3;
    V one = (V)_mm256_shuffle_epi8(_mm256_set1_epi64x((long long)0x8040201008040201ULL), (__m256i)(q & 7));
    V upper = (V)((place & 16) == 16);
    V byte = pick(upper, (V)_mm256_shuffle_epi8(high, (__m256i)(place & 15)),
                  (V)_mm256_shuffle_epi8(low, (__m256i)(place & 15)));
    return (V)((byte & one) == one);
}
#else
static inline V pick(M m, V yes, V no) { return (yes & m) | (no & ~m); }
static inline M member(V q, const uint8_t *bits) {
    M m;
    for (int i = 0; i < VB; i++) m[i] = (uint8_t)-(bits[q[i] >> 3] >> (q[i] & 7) & 1);
    return m;
}
#endif
#endif

/* ---- the rows of a column as floats or doubles */

#define CONVERT(NAME, TO, FROM)                                                        \
    static void NAME(const char *p, int64_t stride, int64_t rows, TO *out, int64_t step) { \
        for (int64_t i = 0; i < rows; i++) {                                           \
            FROM v;                                                                    \
            memcpy(&v, p + i * stride, sizeof v);                                      \
            out[i * step] = (TO)v;                                                     \
        }                                                                              \
    }
CONVERT(float_float32, float, float)
CONVERT(float_float64, float, double)
CONVERT(float_int32, float, int32_t)
CONVERT(float_int64, float, int64_t)
CONVERT(double_float32, double, float)
CONVERT(double_float64, double, double)
CONVERT(double_int32, double, int32_t)
CONVERT(double_int64, double, int64_t)

static void as_float(const Column *c, int64_t start, int64_t rows, float *out, int64_t step) {
    const char *p = c->data + start * c->stride;
    switch (c->kind) {
    case FLOAT64: float_float64(p, c->stride, rows, out, step); break;
    case INT32: float_int32(p, c->stride, rows, out, step); break;
    case INT64: float_int64(p, c->stride, rows, out, step); break;
    default:
        if (step == 1 && c->stride == sizeof(float)) memcpy(out, p, (size_t)rows * sizeof(float));
        else float_float32(p, c->stride, rows, out, step);
    }
}

static void as_double(const Column *c, int64_t start, int64_t rows, double *out, int64_t step) {
    const char *p = c->data + start * c->stride;
    switch (c->kind) {
    case FLOAT64: double_float64(p, c->stride, rows, out, step); break;
    case INT32: double_int32(p, c->stride, rows, out, step); break;
    case INT64: double_int64(p, c->stride, rows, out, step); break;
    default: double_float32(p, c->stride, rows, out, step);
    }
}

/* ---- ranks: how many thresholds of the column lie below the value; NaN has a rank of its own */

#define RANK(NAME, T)                                                                                       \
    static void NAME(const T *x, int64_t rows, const T *cuts, int64_t levels, uint32_t *rank, uint32_t missing) { \
        memset(rank, 0, (size_t)rows * sizeof *rank);                                                       \
        for (uint32_t step = 1u << (levels - 1); step; step >>= 1)                                          \
            for (int64_t i = 0; i < rows; i++) rank[i] += cuts[rank[i] + step - 1] < x[i] ? step : 0;       \
        for (int64_t i = 0; i < rows; i++) rank[i] = x[i] == x[i] ? rank[i] : missing;                      \
    }
RANK(rank_double, double)
#if !defined(__AVX2__)
RANK(rank_float, float)
#elif !defined(WIDE)
static void rank_float(const float *x, int64_t rows, const float *cuts, int64_t levels, uint32_t *rank, uint32_t missing) {
    for (int64_t i = 0; i < rows; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i);
        __m256i at = _mm256_setzero_si256();
        for (int step = 1 << (levels - 1); step; step >>= 1) {
            __m256 cut = _mm256_i32gather_ps(cuts, _mm256_add_epi32(at, _mm256_set1_epi32(step - 1)), 4);
            __m256i more = _mm256_castps_si256(_mm256_cmp_ps(cut, v, _CMP_LT_OQ));
            at = _mm256_add_epi32(at, _mm256_and_si256(more, _mm256_set1_epi32(step)));
        }
        __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
        at = _mm256_blendv_epi8(at, _mm256_set1_epi32((int)missing), nan);
        _mm256_storeu_si256((void *)(rank + i), at);
    }
}
#else
/* The first four levels are looked up in a register, 1 << levels >= 16 cuts. */
static void rank_float(const float *x, int64_t rows, const float *cuts, int64_t levels, uint32_t *rank, uint32_t missing) {
    float first[16];
    int64_t apart = (int64_t)1 << (levels - 4);
    for (int i = 0; i < 16; i++) first[i] = cuts[(i + 1) * apart - 1];
    __m512 f = _mm512_loadu_ps(first);
    for (int64_t i = 0; i < rows; i += 16) {
        __m512 v = _mm512_loadu_ps(x + i);
        __m512i at = _mm512_setzero_si512();
        for (int step = 8; step; step >>= 1) {
            __m512 cut = _mm512_permutexvar_ps(_mm512_add_epi32(at, _mm512_set1_epi32(step - 1)), f);
            at = _mm512_mask_add_epi32(at, _mm512_cmp_ps_mask(cut, v, _CMP_LT_OQ), at, _mm512_set1_epi32(step));
        }
        at = _mm512_sll_epi32(at, _mm_cvtsi32_si128((int)levels - 4));
        for (int step = (int)(apart >> 1); step; step >>= 1) {
            __m512 cut = _mm512_i32gather_ps(_mm512_add_epi32(at, _mm512_set1_epi32(step - 1)), cuts, 4);
            at = _mm512_mask_add_epi32(at, _mm512_cmp_ps_mask(cut, v, _CMP_LT_OQ), at, _mm512_set1_epi32(step));
        }
        __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        at = _mm512_mask_mov_epi32(at, nan, _mm512_set1_epi32((int)missing));
        _mm512_storeu_si512(rank + i, at);
    }
}
#endif

/* Ranks of two bytes among all thresholds -> ranks of a byte among those of a group. The map is three bytes longer. */
static void narrowed(const uint16_t *rank, int64_t rows, const uint8_t *map, uint8_t *out) {
#if defined(WIDE)
    for (int64_t i = 0; i < rows; i += 16) {
        __m512i at = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(rank + i)));
        _mm_storeu_si128((void *)(out + i), _mm512_cvtepi32_epi8(_mm512_i32gather_epi32(at, map, 1)));
    }
#else
    for (int64_t i = 0; i < rows; i++) out[i] = map[rank[i]];
#endif
}

/* ---- one ranked tree for the rows of one chunk: which leaf */

static inline void leaf_numbers(const Op *op, const Op *end, const uint8_t *ranks, const uint8_t *members,
                                uint8_t *stack, uint8_t *out) {
    V t[NV]; /* the top of the stack */
    for (int j = 0; j < NV; j++) t[j] = all(0);
#define EACH for (int j = 0; j < NV; j++)
#define SHAPES(TEST, MASK)                                                                      \
    case TEST + LEAF_LEAF: {                                                                    \
        V yes = all(op->yes), no = all(op->no);                                                 \
        EACH { store(stack + j * VB, t[j]); }                                                   \
        stack += CHUNK;                                                                         \
        EACH { t[j] = pick(MASK, yes, no); }                                                    \
        break;                                                                                  \
    }                                                                                           \
    case TEST + LEAF_TREE: {                                                                    \
        V yes = all(op->yes);                                                                   \
        EACH { t[j] = pick(MASK, yes, t[j]); }                                                  \
        break;                                                                                  \
    }                                                                                           \
    case TEST + TREE_LEAF: {                                                                    \
        V no = all(op->no);                                                                     \
        EACH { t[j] = pick(MASK, t[j], no); }                                                   \
        break;                                                                                  \
    }                                                                                           \
    case TEST + TREE_TREE: {                                                                    \
        stack -= CHUNK;                                                                         \
        EACH { t[j] = pick(MASK, load(stack + j * VB), t[j]); }                                 \
        break;                                                                                  \
    }
#define LEVEL(MASK)                                                                             \
    {                                                                                           \
        V yes = all(op->yes), no = all(op->no);                                                 \
        EACH { t[j] = either(t[j], pick(MASK, yes, no)); }                                      \
        break;                                                                                  \
    }
    for (; op < end; op++) {
        const uint8_t *q = ranks + (size_t)op->slot * BLOCK;
        V low = all(op->low), width = all(op->width);
        switch (op->code) {
            SHAPES(BELOW, below(load(q + j * VB), width))
            SHAPES(WITHIN, below(minus(load(q + j * VB), low), width))
            SHAPES(MEMBER, member(load(q + j * VB), members + (size_t)op->members * 32))
        case LEVEL_BELOW: LEVEL(below(load(q + j * VB), width))
        case LEVEL_WITHIN: LEVEL(below(minus(load(q + j * VB), low), width))
        case LEVEL_MEMBER: LEVEL(member(load(q + j * VB), members + (size_t)op->members * 32))
        default: break;
        }
    }
    for (int j = 0; j < NV; j++) store(out + j * VB, t[j]);
}

/* ---- leaf weights into the sums of one chunk */

#define AGGREGATE(NAME, T)                                                                          \
    static void NAME(const uint8_t *leaf, const T *weight, int64_t how, T *sum) {                   \
        if (how == MIN)                                                                             \
            for (int i = 0; i < CHUNK; i++) sum[i] = weight[leaf[i]] < sum[i] ? weight[leaf[i]] : sum[i]; \
        else if (how == MAX)                                                                        \
            for (int i = 0; i < CHUNK; i++) sum[i] = weight[leaf[i]] > sum[i] ? weight[leaf[i]] : sum[i]; \
        else                                                                                        \
            for (int i = 0; i < CHUNK; i++) sum[i] += weight[leaf[i]];                              \
    }
AGGREGATE(aggregated_float, float)
AGGREGATE(aggregated_double, double)

#if defined(WIDE)
static inline void added(float *sum, __m512 v) { _mm512_storeu_ps(sum, _mm512_add_ps(_mm512_loadu_ps(sum), v)); }
static inline __m512i numbers(const uint8_t *leaf) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)leaf)); }

static void leaves_float(const uint8_t *leaf, const float *weight, int64_t size, int64_t how, float *sum) {
    if (how == MIN || how == MAX) {
        aggregated_float(leaf, weight, how, sum);
    } else if (size <= 16) {
        __m512 a = _mm512_loadu_ps(weight);
        for (int i = 0; i < CHUNK; i += 16) added(sum + i, _mm512_permutexvar_ps(numbers(leaf + i), a));
    } else if (size <= 32) {
        __m512 a = _mm512_loadu_ps(weight), b = _mm512_loadu_ps(weight + 16);
        for (int i = 0; i < CHUNK; i += 16) added(sum + i, _mm512_permutex2var_ps(a, numbers(leaf + i), b));
    } else if (size <= 64) {
        __m512 a = _mm512_loadu_ps(weight), b = _mm512_loadu_ps(weight + 16);
        __m512 c = _mm512_loadu_ps(weight + 32), d = _mm512_loadu_ps(weight + 48);
        for (int i = 0; i < CHUNK; i += 16) {
            __m512i n = numbers(leaf + i);
            __m512 low = _mm512_permutex2var_ps(a, n, b), high = _mm512_permutex2var_ps(c, n, d);
            __mmask16 upper = _mm512_test_epi32_mask(n, _mm512_set1_epi32(32));
            added(sum + i, _mm512_mask_mov_ps(low, upper, high));
        }
    } else {
        for (int i = 0; i < CHUNK; i += 16) added(sum + i, _mm512_i32gather_ps(numbers(leaf + i), weight, 4));
    }
}
static void leaves_double(const uint8_t *leaf, const double *weight, int64_t size, int64_t how, double *sum) {
    (void)size;
    if (how == MIN || how == MAX) {
        aggregated_double(leaf, weight, how, sum);
        return;
    }
    for (int i = 0; i < CHUNK; i += 8) {
        __m256i n = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(leaf + i)));
        _mm512_storeu_pd(sum + i, _mm512_add_pd(_mm512_loadu_pd(sum + i), _mm512_i32gather_pd(n, weight, 8)));
    }
}
#else
static void leaves_float(const uint8_t *leaf, const float *weight, int64_t size, int64_t how, float *sum) {
    (void)size;
#if defined(__AVX2__)
    if (how != MIN && how != MAX) {
        for (int i = 0; i < CHUNK; i += 8) {
            __m256i n = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(leaf + i)));
            _mm256_storeu_ps(sum + i, _mm256_add_ps(_mm256_loadu_ps(sum + i), _mm256_i32gather_ps(weight, n, 4)));
        }
        return;
    }
#endif
    aggregated_float(leaf, weight, how, sum);
}
static void leaves_double(const uint8_t *leaf, const double *weight, int64_t size, int64_t how, double *sum) {
    (void)size;
    aggregated_double(leaf, weight, how, sum);
}
#endif

/* ---- one walked tree: which leaf, for rows that lie one after the other */

static inline int is_in(const Set *set, const uint8_t *members, double v) {
    double whole = trunc(v), place = whole - set->first;
    if (!(place >= 0 && place < set->size) || (set->exact && whole != v)) return 0;
    return members[(size_t)set->at * 4 + ((size_t)place >> 3)] >> ((size_t)place & 7) & 1;
}

#define WALK(NAME, T)                                                                                        \
    static void NAME(const Forest *f, int64_t tree, const T *x, int64_t rows, int32_t *leaf) {               \
        int64_t from = f->node_from[tree];                                                                   \
        const int32_t *feature = f->node_feature + from, *child = f->node_child + from;                      \
        const T *value = (const T *)f->node_value + from;                                                    \
        for (int64_t start = 0; start < rows; start += 8) {                                                  \
            int32_t at[8] = {0};                                                                             \
            for (int64_t d = 0; d < f->depth[tree]; d++) {                                                   \
                int32_t moved = 0;                                                                           \
                for (int i = 0; i < 8; i++) {                                                                \
                    int32_t g = feature[at[i]];                                                              \
                    T v = x[(start + i) * f->columns + (g & FEATURE)], cut = value[at[i]];                   \
                    int yes = g & IS_MEMBER ? is_in(f->sets + (int64_t)cut, f->members, v)                   \
                              : g & IS_EQUAL ? v == cut : v <= cut;                                          \
                    yes |= (g & NAN_IS_YES) != 0 && v != v;                                                  \
                    int32_t next = child[at[i]] + !yes;                                                      \
                    moved |= next ^ at[i];                                                                   \
                    at[i] = next;                                                                            \
                }                                                                                            \
                if (!moved) break;                                                                           \
            }                                                                                                \
            for (int i = 0; i < 8; i++) leaf[start + i] = f->node_leaf[from + at[i]];                        \
        }                                                                                                    \
    }
WALK(walked_double, double)
#if !defined(WIDE)
WALK(walked_float, float)
#else
#define LANES 4
static inline __mmask16 are_in(const Forest *f, __mmask16 asked, __m512 number, __m512 v) {
    const int32_t *sets = (const int32_t *)f->sets;
    __m512i none = _mm512_setzero_si512(), at = _mm512_slli_epi32(_mm512_cvttps_epi32(number), 2);
    __m512i first = _mm512_mask_i32gather_epi32(none, asked, at, sets, 4);
    __m512i size = _mm512_mask_i32gather_epi32(none, asked, at, sets + 1, 4);
    __m512i word = _mm512_mask_i32gather_epi32(none, asked, at, sets + 2, 4);
    __m512i exact = _mm512_mask_i32gather_epi32(none, asked, at, sets + 3, 4);
    __m512 whole = _mm512_roundscale_ps(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    /* Beyond 2^31 and NaN become the lowest number, which is larger than any size. */
    __m512i place = _mm512_cvttps_epi32(_mm512_sub_ps(whole, _mm512_cvtepi32_ps(first)));
    __mmask16 in = _mm512_mask_cmplt_epu32_mask(asked, place, size);
    in &= _mm512_testn_epi32_mask(exact, exact) | _mm512_cmp_ps_mask(whole, v, _CMP_EQ_OQ);
    word = _mm512_add_epi32(word, _mm512_srli_epi32(place, 5));
    __m512i bits = _mm512_mask_i32gather_epi32(none, in, word, f->members, 4);
    __m512i bit = _mm512_sllv_epi32(_mm512_set1_epi32(1), _mm512_and_si512(place, _mm512_set1_epi32(31)));
    return _mm512_mask_test_epi32_mask(in, bits, bit);
}

static void walked_float(const Forest *f, int64_t tree, const float *x, int64_t rows, int32_t *leaf) {
    int64_t from = f->node_from[tree];
    const int32_t *feature = f->node_feature + from, *child = f->node_child + from, *number = f->node_leaf + from;
    const float *value = (const float *)f->node_value + from;
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i width = _mm512_set1_epi32((int)f->columns), one = _mm512_set1_epi32(1);
    for (int64_t start = 0; start < rows; start += 16 * LANES) {
        __m512i at[LANES], row[LANES];
        for (int j = 0; j < LANES; j++) {
            at[j] = _mm512_setzero_si512();
            row[j] = _mm512_mullo_epi32(_mm512_add_epi32(_mm512_set1_epi32((int)start + 16 * j), lane), width);
        }
        for (int64_t d = 0; d < f->depth[tree]; d++) {
            __mmask16 moved = 0;
            for (int j = 0; j < LANES; j++) {
                __m512i g = _mm512_i32gather_epi32(at[j], feature, 4);
                __m512 cut = _mm512_i32gather_ps(at[j], value, 4);
                __m512i place = _mm512_and_si512(g, _mm512_set1_epi32(FEATURE));
                __m512 v = _mm512_i32gather_ps(_mm512_add_epi32(place, row[j]), x, 4);
                __m512i next = _mm512_i32gather_epi32(at[j], child, 4);
                __mmask16 yes = _mm512_cmp_ps_mask(v, cut, _CMP_LE_OQ);
                if (f->has_equal) {
                    __mmask16 equal = _mm512_test_epi32_mask(g, _mm512_set1_epi32(IS_EQUAL));
                    yes = (__mmask16)((yes & ~equal) | (_mm512_cmp_ps_mask(v, cut, _CMP_EQ_OQ) & equal));
                }
                if (f->has_sets) {
                    __mmask16 asked = _mm512_test_epi32_mask(g, _mm512_set1_epi32(IS_MEMBER));
                    if (asked) yes = (__mmask16)((yes & ~asked) | are_in(f, asked, cut, v));
                }
                yes |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q) & _mm512_test_epi32_mask(g, _mm512_set1_epi32(NAN_IS_YES));
                next = _mm512_mask_add_epi32(next, _knot_mask16(yes), next, one);
                moved |= _mm512_cmpneq_epi32_mask(next, at[j]);
                at[j] = next;
            }
            if (!moved) break;
        }
        for (int j = 0; j < LANES; j++)
            _mm512_storeu_si512(leaf + start + 16 * j, _mm512_i32gather_epi32(at[j], number, 4));
    }
}
#endif

#define WEIGHED(NAME, T)                                                                        \
    static void NAME(const int32_t *leaf, int64_t rows, const T *weight, int64_t how, T *sum) { \
        if (how == MIN)                                                                         \
            for (int64_t i = 0; i < rows; i++) sum[i] = weight[leaf[i]] < sum[i] ? weight[leaf[i]] : sum[i]; \
        else if (how == MAX)                                                                    \
            for (int64_t i = 0; i < rows; i++) sum[i] = weight[leaf[i]] > sum[i] ? weight[leaf[i]] : sum[i]; \
        else                                                                                    \
            for (int64_t i = 0; i < rows; i++) sum[i] += weight[leaf[i]];                       \
    }
WEIGHED(weighed_float, float)
WEIGHED(weighed_double, double)

/* ---- a block of rows */

typedef struct {
    uint8_t *narrow; /* ranks of a byte, a BLOCK for each slot */
    uint8_t *direct; /* ranks of a byte, a BLOCK for each column */
    uint16_t *wide;
    uint8_t *stack;
    uint32_t *rank;
    int32_t *leaf;
    char *values; /* one column */
    char *rows;   /* all columns, a row after the other */
    char *sums;   /* a BLOCK for each target */
} Scratch;

static void ranked_columns(const Forest *f, const Column *columns, int64_t start, int64_t rows, int64_t padded, Scratch *s) {
    size_t size = f->is_double ? sizeof(double) : sizeof(float);
    for (int64_t c = 0; c < f->columns; c++) {
        if (!f->levels[c]) continue;
        memset(s->values + (size_t)rows * size, 0, (size_t)(padded - rows) * size);
        uint32_t missing = f->is_wide[c] ? 1u << f->levels[c] : MISSING;
        if (f->is_double) {
            as_double(columns + c, start, rows, (double *)s->values, 1);
            rank_double((double *)s->values, padded, (const double *)f->cuts + f->cut_at[c], f->levels[c], s->rank, missing);
        } else {
            as_float(columns + c, start, rows, (float *)s->values, 1);
            rank_float((float *)s->values, padded, (const float *)f->cuts + f->cut_at[c], f->levels[c], s->rank, missing);
        }
        if (f->is_wide[c])
            for (int64_t i = 0; i < padded; i++) s->wide[c * BLOCK + i] = (uint16_t)s->rank[i];
        else
            for (int64_t i = 0; i < padded; i++) s->direct[c * BLOCK + i] = (uint8_t)s->rank[i];
    }
}

static void rows_of(const Forest *f, const Column *columns, int64_t start, int64_t rows, int64_t padded, char *out) {
    size_t size = f->is_double ? sizeof(double) : sizeof(float);
    memset(out + (size_t)(rows * f->columns) * size, 0, (size_t)((padded - rows) * f->columns) * size);
    for (int64_t c = 0; c < f->columns; c++) {
        if (f->is_double) as_double(columns + c, start, rows, (double *)out + c, f->columns);
        else as_float(columns + c, start, rows, (float *)out + c, f->columns);
    }
}

static void ranked_group(const Forest *f, int64_t group, int64_t padded, Scratch *s) {
    int64_t first = f->group_slot[group], slots = f->group_slot[group + 1] - first;
    for (int64_t k = 0; k < slots; k++) {
        int64_t c = f->slot_column[first + k];
        uint8_t *out = s->narrow + k * BLOCK;
        if (f->is_wide[c]) narrowed(s->wide + c * BLOCK, padded, f->maps + f->slot_map[first + k], out);
        else memcpy(out, s->direct + c * BLOCK, (size_t)padded);
    }
    uint8_t leaf[CHUNK];
    for (int64_t t = f->group_tree[group]; t < f->group_tree[group + 1]; t++) {
        const Op *op = f->ops + f->op_from[t], *end = f->ops + f->op_from[t + 1];
        for (int64_t at = 0; at < padded; at += CHUNK) {
            leaf_numbers(op, end, s->narrow + at, f->members, s->stack, leaf);
            for (int64_t k = f->table_from[t]; k < f->table_from[t + 1]; k++) {
                int64_t sum = f->table_target[k] * BLOCK + at;
                if (f->sums_double)
                    leaves_double(leaf, (const double *)f->leaves + f->table_at[k], f->table_size[k], f->aggregate,
                                  (double *)s->sums + sum);
                else
                    leaves_float(leaf, (const float *)f->leaves + f->table_at[k], f->table_size[k], f->aggregate,
                                 (float *)s->sums + sum);
            }
        }
    }
}

static void walked_group(const Forest *f, int64_t group, int64_t padded, Scratch *s) {
    for (int64_t t = f->group_tree[group]; t < f->group_tree[group + 1]; t++) {
        if (f->is_double) walked_double(f, t, (const double *)s->rows, padded, s->leaf);
        else walked_float(f, t, (const float *)s->rows, padded, s->leaf);
        for (int64_t k = f->table_from[t]; k < f->table_from[t + 1]; k++) {
            int64_t sum = f->table_target[k] * BLOCK;
            if (f->sums_double)
                weighed_double(s->leaf, padded, (const double *)f->leaves + f->table_at[k], f->aggregate, (double *)s->sums + sum);
            else
                weighed_float(s->leaf, padded, (const float *)f->leaves + f->table_at[k], f->aggregate, (float *)s->sums + sum);
        }
    }
}

#define FINISH(NAME, T)                                                                                      \
    static void NAME(const Forest *f, int64_t start, int64_t rows, const T *sums, float *narrow, double *wide) { \
        for (int64_t k = 0; k < f->targets; k++)                                                             \
            for (int64_t i = 0; i < rows; i++) {                                                             \
                T v = sums[k * BLOCK + i];                                                                   \
                if (f->aggregate == AVERAGE) v /= (T)f->trees;                                               \
                v += ((const T *)f->base)[k];                                                                \
                if (narrow) narrow[(start + i) * f->targets + k] = (float)v;                                 \
                else wide[(start + i) * f->targets + k] = (double)v;                                         \
            }                                                                                                \
    }
FINISH(finish_float, float)
FINISH(finish_double, double)

/* ---- classes: which one, and their scores; each step as ONNX Runtime makes it, with the same exp */

static inline float logistic(float x) {
    float v = 1 / (1 + expf(-fabsf(x)));
    return x < 0 ? 1 - v : v;
}

static void transformed(const Forest *f, float *x) {
    int64_t count = f->classes;
    float most = x[0], sum = 0;
    if (f->transform == LOGISTIC)
        for (int64_t k = 0; k < count; k++) x[k] = logistic(x[k]);
    if (f->transform != SOFTMAX && f->transform != SOFTMAX_ZERO) return;
    for (int64_t k = 0; k < count; k++) most = x[k] > most ? x[k] : most;
    for (int64_t k = 0; k < count; k++) {
        if (f->transform == SOFTMAX_ZERO && !(x[k] > 0.0000001f || x[k] < -0.0000001f)) {
            x[k] *= expf(-most);
            continue;
        }
        x[k] = expf(x[k] - most);
        sum += x[k];
    }
    for (int64_t k = 0; k < count; k++) x[k] /= sum;
}

#define CLASSES(T, TWO, MANY, FINISH)                                                                         \
    static int64_t TWO(const Forest *f, T x, float *out) {                                                    \
        int64_t best = f->is_positive ? x > (T)0.5 : x > 0;                                                   \
        if (f->is_paired) {                                                                                   \
            out[0] = (float)-x, out[1] = (float)x;                                                            \
            transformed(f, out);                                                                              \
        } else if (f->is_positive) out[0] = (float)(1 - x), out[1] = (float)x;                                \
        else if (f->transform == LOGISTIC) out[0] = logistic((float)-x), out[1] = logistic((float)x);         \
        else out[0] = (float)-x, out[1] = (float)x;                                                           \
        return best;                                                                                          \
    }                                                                                                         \
    static int64_t MANY(const Forest *f, const T *x, float *out) {                                            \
        int64_t best = 0;                                                                                     \
        for (int64_t k = 1; k < f->classes; k++) best = x[k * BLOCK] > x[best * BLOCK] ? k : best;            \
        if (f->classes == 2) best = x[BLOCK] > 0; /* whatever the first one has */                            \
        for (int64_t k = 0; k < f->classes; k++) out[k] = (float)x[k * BLOCK];                                \
        transformed(f, out);                                                                                  \
        return best;                                                                                          \
    }                                                                                                         \
    static void FINISH(const Forest *f, int64_t start, int64_t rows, T *sums, float *scores, int64_t *label) { \
        const T *base = f->base;                                                                              \
        for (int64_t i = 0; i < rows; i++) {                                                                  \
            float *out = scores + (start + i) * f->classes;                                                   \
            for (int64_t k = 0; k < f->targets; k++) sums[k * BLOCK + i] += base[k];                          \
            label[start + i] = f->targets == 1 ? TWO(f, sums[i], out) : MANY(f, sums + i, out);               \
        }                                                                                                     \
    }
CLASSES(float, two_classes_float, many_classes_float, classes_float)
CLASSES(double, two_classes_double, many_classes_double, classes_double)

#define START(NAME, T)                                                                         \
    static void NAME(const Forest *f, T *sums) {                                               \
        T first = f->aggregate == MIN ? (T)__builtin_inf() : f->aggregate == MAX ? -(T)__builtin_inf() : 0; \
        for (int64_t i = 0; i < f->targets * BLOCK; i++) sums[i] = first;                      \
    }
START(start_float, float)
START(start_double, double)

static int scratch(const Forest *f, int64_t slots, int walks, Scratch *s, char **memory) {
    size_t size = f->is_double ? sizeof(double) : sizeof(float), columns = (size_t)f->columns;
    size_t sum = f->sums_double ? sizeof(double) : sizeof(float);
    size_t parts[9] = {
        (size_t)slots * BLOCK, columns * BLOCK, columns * BLOCK * 2, (STACK + 1) * CHUNK, BLOCK * sizeof(uint32_t),
        BLOCK * sizeof(int32_t), BLOCK * size, walks ? columns * BLOCK * size : 0, (size_t)f->targets * BLOCK * sum,
    };
    size_t total = 64;
    for (int i = 0; i < 9; i++) parts[i] = (parts[i] + 127) / 64 * 64, total += parts[i];
    char *p = *memory = malloc(total);
    if (!p) return -1;
    p += 64 - (uintptr_t)p % 64;
    s->narrow = (uint8_t *)p, p += parts[0];
    s->direct = (uint8_t *)p, p += parts[1];
    s->wide = (uint16_t *)p, p += parts[2];
    s->stack = (uint8_t *)p, p += parts[3];
    s->rank = (uint32_t *)p, p += parts[4];
    s->leaf = (int32_t *)p, p += parts[5];
    s->values = p, p += parts[6];
    s->rows = p, p += parts[7];
    s->sums = p;
    return 0;
}

/* Rows of the columns -> [rows, targets], floats or doubles: one of both is null; for classes [rows, classes], floats,
 * and the number of the best one. 0, or -1 without memory. */
int FOREST_RUN(const Forest *f, const Column *columns, int64_t rows, float *narrow, double *wide, int64_t *label) {
    int64_t slots = 0;
    int walks = 0, ranks = 0;
    for (int64_t g = 0; g < f->groups; g++) {
        int64_t here = f->group_slot[g + 1] - f->group_slot[g];
        slots = here > slots ? here : slots;
        if (f->group_kind[g] == WALKED) walks = 1;
        else ranks = 1;
    }
    Scratch s;
    char *memory;
    if (scratch(f, slots, walks, &s, &memory)) return -1;
    for (int64_t start = 0; start < rows; start += BLOCK) {
        int64_t count = rows - start < BLOCK ? rows - start : BLOCK, padded = (count + CHUNK - 1) / CHUNK * CHUNK;
        if (ranks) ranked_columns(f, columns, start, count, padded, &s);
        if (walks) rows_of(f, columns, start, count, padded, s.rows);
        if (f->sums_double) start_double(f, (double *)s.sums);
        else start_float(f, (float *)s.sums);
        for (int64_t g = 0; g < f->groups; g++) {
            if (f->group_kind[g] == WALKED) walked_group(f, g, padded, &s);
            else ranked_group(f, g, padded, &s);
        }
        if (f->classes && f->sums_double) classes_double(f, start, count, (double *)s.sums, narrow, label);
        else if (f->classes) classes_float(f, start, count, (float *)s.sums, narrow, label);
        else if (f->sums_double) finish_double(f, start, count, (const double *)s.sums, narrow, wide);
        else finish_float(f, start, count, (const float *)s.sums, narrow, wide);
    }
    free(memory);
    return 0;
}
