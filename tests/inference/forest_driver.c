/* Runs programs of the forest kernel from a file, each array in memory of exactly its size: for address sanitisers.
 * File: cases, each NUMBERS numbers, then arrays (bytes, then data), rows, the column (bytes, then data). */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forest.h"

enum { NUMBERS = offsetof(Forest, cuts) / 8 };

int forest_best(void);
int forest_run(const Forest *, const Column *, int64_t, float *, double *, int64_t *, int);

static void *part(FILE *file, int64_t *size) {
    if (fread(size, sizeof *size, 1, file) != 1) exit(3);
    void *data = malloc((size_t)*size);
    if (*size && fread(data, (size_t)*size, 1, file) != 1) exit(3);
    return data;
}

int main(int argc, char **argv) {
    FILE *file = fopen(argv[argc - 1], "rb");
    int64_t numbers[sizeof(Forest) / 8], count = 0;
    if (!file) return 2;
    while (fread(numbers, 8, NUMBERS, file) == NUMBERS) {
        void *arrays[sizeof(Forest) / 8];
        int64_t size, rows, parts = (int64_t)(sizeof(Forest) / 8) - NUMBERS;
        for (int64_t i = 0; i < parts; i++) arrays[i] = part(file, &size), numbers[NUMBERS + i] = (int64_t)(intptr_t)arrays[i];
        if (fread(&rows, 8, 1, file) != 1) return 3;
        char *values = part(file, &size);
        Forest forest;
        memcpy(&forest, numbers, sizeof forest);
        int64_t stride = rows ? size / rows : 0;
        Column *columns = malloc(sizeof(Column) * (size_t)(forest.columns ? forest.columns : 1));
        for (int64_t c = 0; c < forest.columns; c++)
            columns[c] = (Column){values + c * 4, stride, FLOAT32};
        size_t results = (size_t)(rows * (forest.classes ? forest.classes : forest.targets));
        for (int set = 0; set <= forest_best(); set++) {
            float *narrow = malloc(results * sizeof(float));
            int64_t *label = malloc((size_t)rows * sizeof(int64_t));
            if (forest_run(&forest, columns, rows, narrow, 0, label, set)) fprintf(stderr, "no memory\n");
            free(narrow), free(label);
        }
        for (int64_t i = 0; i < parts; i++) free(arrays[i]);
        free(columns), free(values), count++;
    }
    printf("%lld cases\n", (long long)count);
    return 0;
}
