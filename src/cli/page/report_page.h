/* SPDX-License-Identifier: MIT
 *
 * Between report.c (the page, key figures, table) and report_charts.c (the cards
 * with a picture). See report.h for what a page holds.
 */
#ifndef DPF_CLI_REPORT_PAGE_H
#define DPF_CLI_REPORT_PAGE_H

#include "html.h"
#include "report.h"

typedef struct page {
    const report *r;
    html_text *out;
    double *x, *y, *z; /* scratch, rows_count each */
    /* totals of the layers */
    size_t prunable, kept; /* weights of prunable layers */
    size_t parameters, parameters_kept;
    int sparse; /* there is something to say about pruning */
} page;

/* Per cent; 0 of nothing. */
double report_share(size_t part, size_t whole);

/* The shape with real multiplication signs. 160 bytes are always enough. */
void report_shape(char *out, size_t size, const report_layer *layer);

void report_loss_chart(page *p);
void report_sparsity_chart(page *p);
void report_flips_chart(page *p);
void report_rate_chart(page *p);
void report_speed_chart(page *p);
void report_score_chart(page *p); /* nothing when no score has two points: one point is a key figure */
void report_density_chart(page *p);

#endif
