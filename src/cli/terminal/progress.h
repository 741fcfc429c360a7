/* SPDX-License-Identifier: MIT
 *
 * How training shows that it is alive: a bar redrawn in place on a terminal, one
 * line an iteration in Darknet's form everywhere else (scripts parse those).
 */
#ifndef DPF_CLI_PROGRESS_H
#define DPF_CLI_PROGRESS_H

#include <stddef.h>

typedef struct progress_state {
    size_t iteration;   /* finished so far */
    size_t start, last; /* iterations of the run; last = 0: no end */
    double epoch;       /* pictures seen / pictures there are */
    double loss, average_loss, rate;
    double seconds;      /* of this iteration */
    double images_per_s; /* over the last iterations */
    double sparsity;     /* < 0: no pruning */
    size_t images;       /* seen so far */
    double elapsed;      /* of the run */
} progress_state;

void progress_show(const progress_state *state);
void progress_end(void); /* leaves the terminal at the start of an empty line */

/* The bar as text of at most `width` columns; split off for tests. */
void progress_bar(const progress_state *state, size_t width, char *text, size_t size);

/* "1 h 02 m 05 s", "2 m 05 s", "5.2 s" */
void progress_time(double seconds, char *text, size_t size);

/* Darknet's detection layers print a line for each batch. Where there is a bar it would be torn
 * apart, so stdout is turned off while Darknet trains; elsewhere those lines are part of the log
 * that scripts know. hush returns what unhush wants back. */
int progress_hush(void);
void progress_unhush(int saved);

/* Monotonic seconds. */
double progress_now(void);

#endif
