/* Which of the instruction sets that were compiled this processor has, and the call of the best one. */
#include "forest.h"

int forest_run_plain(const Forest *, const Column *, int64_t, float *, double *, int64_t *);
#if defined(FOREST_X86)
int forest_run_avx2(const Forest *, const Column *, int64_t, float *, double *, int64_t *);
int forest_run_avx512(const Forest *, const Column *, int64_t, float *, double *, int64_t *);
#endif

enum { PLAIN = 0, AVX2 = 1, AVX512 = 2 };

/* library.py refuses a library with another number, or with another size: what the arrays mean is part of the one, their
 * layout of the other. */
int forest_version(void) { return 4; }

int forest_size(void) { return (int)sizeof(Forest); }

int forest_best(void) {
#if defined(FOREST_X86)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx2"))
        return AVX512;
    if (__builtin_cpu_supports("avx2")) return AVX2;
#endif
    return PLAIN;
}

int forest_run(const Forest *f, const Column *columns, int64_t rows, float *narrow, double *wide, int64_t *label, int set) {
#if defined(FOREST_X86)
    if (set == AVX512) return forest_run_avx512(f, columns, rows, narrow, wide, label);
    if (set == AVX2) return forest_run_avx2(f, columns, rows, narrow, wide, label);
#endif
    (void)set;
    return forest_run_plain(f, columns, rows, narrow, wide, label);
}
