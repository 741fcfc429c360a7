/* SPDX-License-Identifier: MIT
 *
 * Which known word was probably meant, for the messages about unknown ones.
 */
#include "options.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST = 40 }; /* longer words are compared with nothing: no key comes near */

static size_t least_of(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap two neighbours) from a to b, case ignored. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t rows[3][LONGEST + 1]; /* the row before the last, the last, this one */
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++) {
        last[j] = j;
        before[j] = 0;
    }
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        int x = tolower((unsigned char)a[i - 1]);
        for (size_t j = 1; j <= b_length; j++) {
            int y = tolower((unsigned char)b[j - 1]);
            row[j] = least_of(least_of(last[j], row[j - 1]) + 1, last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) && y == tolower((unsigned char)a[i - 2])) {
                row[j] = least_of(row[j], before[j - 2] + 1);
            }
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b_length];
}

const char *dpf_nearest_word(const char *word, const char *const *words) {
    const char *best = NULL;
    size_t best_distance = 0;
    size_t length = strlen(word);
    for (; length && length <= LONGEST && *words; words++) {
        size_t known = strlen(*words);
        if (known > LONGEST) {
            continue;
        }
        /* A third of the longer word may differ; beginnings count as abbreviations. */
        size_t limit = ((known > length ? known : length) + 1) / 3;
        size_t d = distance(word, length, *words, known);
        if (length >= 3 && strncmp(word, *words, length) == 0 && d > 1) {
            d = 1;
        }
        if (d <= limit && (!best || d < best_distance)) {
            best = *words;
            best_distance = d;
        }
    }
    return best;
}
