/* SPDX-License-Identifier: MIT
 *
 * The cards with a picture. See report_page.h.
 */
#include "report_page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"

static void card_begin(page *p, const char *class_name, const char *title, const char *note) {
    html_print(p->out, "<figure class=\"card%s\">\n<h2>%s</h2>\n<p class=\"dim small\">", class_name, title);
    html_escape(p->out, note);
    html_raw(p->out, "</p>\n");
}

static void card_end(page *p) {
    html_raw(p->out, "</figure>\n");
}

/* A card over the whole width holds two drawings, of which the style sheet shows one: text of a picture that
 * is shrunk to a phone could not be read. */
static void draw_wide(page *p, chart *c, void (*draw)(html_text *, const chart *)) {
    c->width = 1000;
    c->height = 290;
    c->class_name = "desk";
    draw(p->out, c);
    c->width = 480;
    c->phone = 1;
    c->class_name = "phone";
    draw(p->out, c);
}

static chart half_chart(const page *p, const char *description) {
    const report *r = p->r;
    chart c = {0};
    if (r->rows_count && r->rows[0].iteration <= r->rows[r->rows_count - 1].iteration / 10)
        c.x.has_min = 1; /* from 0, unless this run went on from another */
    c.description = description;
    c.width = 480;
    c.height = 250;
    c.phone = 1;
    c.x.label = "iteration";
    c.x.integer = 1;
    return c;
}

static void fill_iterations(page *p) {
    for (size_t i = 0; i < p->r->rows_count; i++)
        p->x[i] = (double)p->r->rows[i].iteration;
}

void report_loss_chart(page *p) {
    const report *r = p->r;
    size_t lost = 0;
    char note[160];
    fill_iterations(p);
    for (size_t i = 0; i < r->rows_count; i++) {
        p->y[i] = (double)r->rows[i].loss;
        p->z[i] = (double)r->rows[i].average_loss;
        lost += isfinite(p->y[i]) ? 0 : 1;
    }
    snprintf(note, sizeof note,
             lost ? "of each iteration (faint) and its running average; %zu values were not finite"
                  : "of each iteration (faint) and its running average",
             lost);
    chart_series series[] = {
        {.name = "loss", .x = p->x, .y = p->y, .count = r->rows_count, .faint = 1},
        {.name = "average", .x = p->x, .y = p->z, .count = r->rows_count, .mean = 1, .label_last = 1},
    };
    chart c = half_chart(p, "Loss over iterations");
    c.y.robust = 1;
    c.series = series;
    c.series_count = 2;
    card_begin(p, " wide", "Loss", note);
    draw_wide(p, &c, chart_plot);
    card_end(p);
}

void report_sparsity_chart(page *p) {
    const report *r = p->r;
    fill_iterations(p);
    for (size_t i = 0; i < r->rows_count; i++)
        p->y[i] = 100 * r->rows[i].sparsity;
    size_t last = r->rows_count ? r->rows_count - 1 : 0;
    double target = 100 * r->target_sparsity;
    double ends[2] = {r->rows_count ? p->x[0] : 0, r->rows_count ? p->x[last] : 0}, targets[2] = {target, target};
    chart_series series[] = {
        {.name = "target", .x = ends, .y = targets, .count = 2, .dashed = 1, .colour = CHART_MUTED},
        {.name = "sparsity", .x = p->x, .y = p->y, .count = r->rows_count, .mark = CHART_STEP, .label_last = 1},
    };
    chart c = half_chart(p, "Sparsity over iterations");
    c.y.unit = "%";
    c.y.has_min = c.y.has_max = 1;
    c.y.max = 100;
    c.series = series;
    c.series_count = 2;
    card_begin(p, "", "Sparsity", "share of the prunable weights that the mask in use sets to zero");
    chart_plot(p->out, &c);
    card_end(p);
}

void report_flips_chart(page *p) {
    const report *r = p->r;
    size_t n = 0, flips = 0, revived = 0;
    char note[160], number[32];
    for (size_t i = 0; i < r->rows_count; i++) {
        const report_row *row = &r->rows[i];
        if (!row->flips)
            continue;
        size_t back = row->revived < row->flips ? row->revived : row->flips;
        p->x[n] = (double)row->iteration;
        p->y[n] = (double)back;
        p->z[n++] = (double)(row->flips - back);
        flips += row->flips;
        revived += back;
    }
    snprintf(note, sizeof note, "weights that changed sides, per mask update; %s %% revived",
             html_fixed(number, sizeof number, report_share(revived, flips), 0));
    chart_series series[] = {
        {.name = "revived", .x = p->x, .y = p->y, .count = n, .mark = CHART_BARS, .colour = 1},
        {.name = "pruned", .x = p->x, .y = p->z, .count = n, .mark = CHART_BARS, .colour = 0},
    };
    chart c = half_chart(p, "Mask flips at each mask update");
    if (n) { /* the axis of the other charts; an eye compares them. The hundredth holds half of the last bar */
        c.x.has_max = 1;
        c.x.max = (double)r->rows[r->rows_count - 1].iteration * 1.01;
    }
    c.stacked = 1;
    c.y.robust = 1;
    c.series = series;
    c.series_count = 2;
    card_begin(p, "", "Mask flips", n ? note : "weights that changed sides, per mask update");
    chart_plot(p->out, &c);
    card_end(p);
}

/* Rates that fall in steps need a log axis, smooth ones do not. The warm-up, which starts at zero, must not set
 * the lower end of it: that is the lowest rate that was kept for two iterations. */
static void rate_axis(const page *p, chart_axis *axis) {
    size_t same = 0, n = p->r->rows_count;
    double low = INFINITY, high = 0;
    for (size_t i = 1; i < n; i++) {
        high = fmax(high, isfinite(p->y[i]) ? p->y[i] : 0);
        if (p->y[i] != p->y[i - 1] || !(p->y[i] > 0))
            continue;
        same++;
        low = fmin(low, p->y[i]);
    }
    if (same <= n / 2 || high < 20 * low)
        return;
    axis->log = 1;
    axis->has_min = 1;
    axis->min = low / 2;
}

void report_rate_chart(page *p) {
    const report *r = p->r;
    fill_iterations(p);
    for (size_t i = 0; i < r->rows_count; i++)
        p->y[i] = (double)r->rows[i].rate;
    chart_series series = {.name = "rate", .x = p->x, .y = p->y, .count = r->rows_count};
    chart c = half_chart(p, "Learning rate over iterations");
    rate_axis(p, &c.y);
    c.series = &series;
    c.series_count = 1;
    c.height = 210;
    card_begin(p, "", "Learning rate", c.y.log ? "log scale" : "as the policy of the cfg sets it");
    chart_plot(p->out, &c);
    card_end(p);
}

void report_speed_chart(page *p) {
    enum { BLOCKS = 120 };
    const report *r = p->r;
    double at[BLOCKS], mean[BLOCKS];
    size_t blocks = r->rows_count < BLOCKS ? r->rows_count : BLOCKS;
    fill_iterations(p);
    for (size_t i = 0; i < r->rows_count; i++)
        p->y[i] = r->rows[i].images_per_s;
    for (size_t b = 0; b < blocks; b++) {
        size_t from = r->rows_count / blocks * b + r->rows_count % blocks * b / blocks, n = 0;
        size_t to = r->rows_count / blocks * (b + 1) + r->rows_count % blocks * (b + 1) / blocks;
        double sum = 0;
        for (size_t i = from; i < to; i++)
            if (isfinite(p->y[i])) {
                sum += p->y[i];
                n++;
            }
        at[b] = (p->x[from] + p->x[to - 1]) / 2;
        mean[b] = n ? sum / (double)n : (double)NAN;
    }
    chart_series series[] = {
        {.name = "each iteration", .x = p->x, .y = p->y, .count = r->rows_count, .faint = 1, .colour = 2},
        {.name = "mean", .x = at, .y = mean, .count = blocks, .colour = 2},
    };
    chart c = half_chart(p, "Images per second over iterations");
    c.y.robust = c.y.has_min = 1;
    c.series = series;
    c.series_count = 2;
    c.height = 210;
    card_begin(p, "", "Speed", "images/s of each iteration (faint) and the mean");
    chart_plot(p->out, &c);
    card_end(p);
}

void report_score_chart(page *p) {
    const report *r = p->r;
    chart_series series[CHART_COLOURS] = {0};
    double *at = malloc((r->scores_count + 1) * 2 * sizeof *at);
    size_t names = 0, used = 0, longest = 0;
    if (!at) {
        p->out->failed = 1;
        return;
    }
    double *value = at + r->scores_count;
    for (size_t i = 0; i < r->scores_count && names < CHART_COLOURS; i++) {
        const char *name = r->scores[i].name;
        size_t known = 0, begin = used;
        while (known < names && strncmp(series[known].name, name, sizeof r->scores[i].name) != 0)
            known++;
        if (known < names)
            continue;
        for (size_t k = i; k < r->scores_count; k++)
            if (strncmp(r->scores[k].name, name, sizeof r->scores[k].name) == 0) {
                at[used] = (double)r->scores[k].iteration;
                value[used++] = r->scores[k].value;
            }
        series[names] = (chart_series){.name = name,
                                       .x = at + begin,
                                       .y = value + begin,
                                       .count = used - begin,
                                       .mark = CHART_POINTS,
                                       .colour = (int)names,
                                       .label_last = 1};
        longest = used - begin > longest ? used - begin : longest;
        names++;
    }
    if (longest < 2) {
        free(at);
        return;
    }
    chart c = half_chart(p, "Validation scores over iterations");
    c.y.unit = "%";
    c.y.decimals = 2;
    c.series = series;
    c.series_count = names;
    card_begin(p, " wide", "Validation", "on the validation set");
    draw_wide(p, &c, chart_plot);
    card_end(p);
    free(at);
}

/* The number first, filled up with figure spaces so that shapes stand below each other. */
static void layer_name(char *out, size_t size, const report_layer *layer) {
    char shape[160];
    report_shape(shape, sizeof shape, layer);
    if (!*shape) {
        snprintf(out, size, "layer %d", layer->index);
        return;
    }
    snprintf(out, size, "%s%s%d\xe2\x80\x82%s", layer->index < 100 ? "\xe2\x80\x87" : "",
             layer->index < 10 ? "\xe2\x80\x87" : "", layer->index, shape);
}

void report_density_chart(page *p) {
    enum { NAME = 192 };
    const report *r = p->r;
    size_t n = r->layers_count;
    char(*text)[NAME] = calloc(n, sizeof *text);
    const char **names = calloc(n, sizeof *names);
    double *density = calloc(n, sizeof *density);
    unsigned char *muted = calloc(n, 1);
    if (text && names && density && muted) {
        for (size_t i = 0; i < n; i++) {
            layer_name(text[i], NAME, &r->layers[i]);
            names[i] = text[i];
            density[i] = r->layers[i].weights ? report_share(r->layers[i].kept, r->layers[i].weights) : (double)NAN;
            muted[i] = !r->layers[i].prunable;
        }
        chart_series series = {.name = "density", .y = density, .count = n};
        chart c = {.description = "Density of each layer",
                   .series = &series,
                   .series_count = 1,
                   .categories = names,
                   .categories_count = n,
                   .muted = muted};
        c.y.unit = "%";
        c.y.decimals = 2;
        c.y.has_min = c.y.has_max = 1;
        c.y.max = 100;
        card_begin(p, " wide", "Density by layer",
                   "share of the weights that are kept, by layer number and shape (filters \xc3\x97 channels \xc3\x97 "
                   "size \xc3\x97 size /stride); grey: not prunable");
        draw_wide(p, &c, chart_rows);
        card_end(p);
    } else
        p->out->failed = 1;
    free(text);
    free(names);
    free(density);
    free(muted);
}
