/* SPDX-License-Identifier: MIT
 *
 * See sensitivity.h.
 */
#include "sensitivity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../page/chart.h"
#include "../page/html.h"
#include "../page/table.h"

const double sensitivity_levels[SENSITIVITY_LEVELS] = {0.5, 0.7, 0.8, 0.9, 0.95};

/* More lines than this in one chart cannot be told apart. */
enum { MOST_LINES = 6 };

double sensitivity_suggest(double dense, const double score[SENSITIVITY_LEVELS], double drop) {
    double before = 0, lost = 0; /* the level before, and what it lost */
    for (size_t i = 0; i < SENSITIVITY_LEVELS; i++) {
        const double level = sensitivity_levels[i], here = dense - score[i];
        if (here > drop) {
            const double share = before + (level - before) * (drop - lost) / (here - lost);
            return floor(share * 100 + 1e-9) / 100;
        }
        before = level;
        lost = here > 0 ? here : 0; /* a layer that gains by being pruned gives no credit for the next level */
    }
    return before;
}

double sensitivity_total(const sensitivity_result *r) {
    double pruned = 0, weights = 0;
    for (size_t i = 0; i < r->count; i++) {
        pruned += round(r->layers[i].suggested * (double)r->layers[i].weights);
        weights += (double)r->layers[i].weights;
    }
    return weights > 0 ? pruned / weights : 0;
}

/* What is the same for all scores; none of it needs escaping. */
static void describe(const sensitivity_result *r, char *text, size_t size) {
    const int length = snprintf(text, size, "%s in %% of %zu images while that layer alone is pruned; dense: %.2f %%",
                                r->metric, r->images, r->dense);
    if (r->recalibrated && length > 0 && (size_t)length < size)
        snprintf(text + length, size - (size_t)length,
                 "; batch-norm statistics of %zu training images for each (with its own, dense: %.2f %%)",
                 r->recalibrated, r->as_given);
}

dpf_status sensitivity_print(const sensitivity_result *r, dpf_error *err) {
    table t;
    table_start(&t, "rlrrrrrrrr");
    table_cell(&t, "layer");
    table_cell(&t, "shape");
    table_cell(&t, "weights");
    for (size_t k = 0; k < SENSITIVITY_LEVELS; k++)
        table_cell(&t, "%g %%", 100 * sensitivity_levels[k]);
    table_cell(&t, "suggested");
    table_cell(&t, "line");
    table_rule(&t);
    for (size_t i = 0; i < r->count; i++) {
        const sensitivity_layer *l = &r->layers[i];
        table_cell(&t, "%zu", l->layer);
        table_cell(&t, "%s", l->shape);
        table_count(&t, l->weights);
        for (size_t k = 0; k < SENSITIVITY_LEVELS; k++)
            table_cell(&t, "%.2f", l->score[k]);
        table_cell(&t, "sparsity=%.2f", l->suggested);
        table_cell(&t, "%d", l->line);
    }
    dpf_status status = table_print(&t, stdout, err);
    if (status)
        return status;
    char text[256];
    describe(r, text, sizeof text);
    printf("\n%s\n", text);
    printf("suggested: what each layer alone can lose for %g point%s; the section of each layer is at that line of the "
           "cfg. All together they prune %.2f %%,\nwhich costs more than each alone and wants training: [dpf] "
           "sparsity=%.6f goes with them\n",
           r->drop, r->drop == 1 ? "" : "s", 100 * sensitivity_total(r), sensitivity_total(r));
    return DPF_OK;
}

dpf_status sensitivity_csv(const sensitivity_result *r, const char *path, dpf_error *err) {
    html_text text = {0};
    char number[48], drop[48];
    html_print(&text, "layer,line,shape,weights,sparsity,score,drop\n");
    html_print(&text, "dense,,,,0,%s,0\n", html_number(number, sizeof number, r->dense, 8));
    for (size_t i = 0; i < r->count; i++)
        for (size_t k = 0; k < SENSITIVITY_LEVELS; k++) {
            const sensitivity_layer *l = &r->layers[i];
            html_print(&text, "%zu,%d,%s,%zu,%d.%02d,%s,%s\n", l->layer, l->line, l->shape, l->weights,
                       (int)sensitivity_levels[k], (int)round(100 * sensitivity_levels[k]),
                       html_number(number, sizeof number, l->score[k], 8),
                       html_number(drop, sizeof drop, r->dense - l->score[k], 8));
        }
    dpf_status status = html_save(&text, path, err);
    html_free(&text);
    return status;
}

static void draw_suggestions(html_text *page, const sensitivity_result *r, const char *const *names, double *values) {
    for (size_t i = 0; i < r->count; i++)
        values[i] = 100 * r->layers[i].suggested;
    const chart_series series = {.name = "suggested sparsity", .y = values, .count = r->count, .mark = CHART_BARS};
    const chart rows = {.description = "Suggested sparsity of each layer",
                        .width = 860,
                        .y = {.label = "sparsity", .unit = "%", .decimals = 0, .has_min = 1, .has_max = 1, .max = 100},
                        .series = &series,
                        .series_count = 1,
                        .categories = names,
                        .categories_count = r->count};
    html_raw(page, "<h2>Suggested sparsity</h2>\n");
    chart_rows(page, &rows);
}

/* The layers that suffer most at the last but one level, at most MOST_LINES of them. */
static size_t most_sensitive(const sensitivity_result *r, size_t *which) {
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) {
        size_t at = n < MOST_LINES ? n++ : MOST_LINES;
        const double mine = r->layers[i].score[SENSITIVITY_LEVELS - 2];
        for (; at > 0 && mine < r->layers[which[at - 1]].score[SENSITIVITY_LEVELS - 2]; at--)
            if (at < MOST_LINES)
                which[at] = which[at - 1];
        if (at < MOST_LINES)
            which[at] = i;
    }
    return n;
}

static void draw_curves(html_text *page, const sensitivity_result *r, const char *const *names) {
    double x[SENSITIVITY_LEVELS + 1] = {0}, y[MOST_LINES][SENSITIVITY_LEVELS + 1];
    chart_series series[MOST_LINES + 1] = {{0}};
    const double limit_x[2] = {0, 100}, limit_y[2] = {r->dense - r->drop, r->dense - r->drop};
    size_t which[MOST_LINES], n = most_sensitive(r, which);
    for (size_t k = 0; k < SENSITIVITY_LEVELS; k++)
        x[k + 1] = 100 * sensitivity_levels[k];
    for (size_t i = 0; i < n; i++) {
        y[i][0] = r->dense;
        for (size_t k = 0; k < SENSITIVITY_LEVELS; k++)
            y[i][k + 1] = r->layers[which[i]].score[k];
        series[i] = (chart_series){.name = names[which[i]],
                                   .x = x,
                                   .y = y[i],
                                   .count = SENSITIVITY_LEVELS + 1,
                                   .mark = CHART_POINTS,
                                   .colour = (int)i};
    }
    series[n] = (chart_series){.name = "allowed",
                               .x = limit_x,
                               .y = limit_y,
                               .count = 2,
                               .mark = CHART_LINE,
                               .colour = CHART_MUTED,
                               .dashed = 1};
    const chart plot = {.description = "Score over the sparsity of one layer",
                        .width = 860,
                        .height = 360,
                        .x = {.label = "sparsity of the layer", .unit = "%", .has_min = 1, .has_max = 1, .max = 100},
                        .y = {.label = r->metric, .unit = "%", .decimals = 2},
                        .series = series,
                        .series_count = n + 1};
    html_raw(page, r->count > MOST_LINES ? "<h2>The most sensitive layers</h2>\n" : "<h2>Each layer alone</h2>\n");
    chart_plot(page, &plot);
}

static void draw_table(html_text *page, const sensitivity_result *r) {
    char number[48];
    html_raw(page, "<h2>All figures</h2>\n<table>\n<tr><th>layer</th><th>shape</th><th>weights</th>");
    for (size_t k = 0; k < SENSITIVITY_LEVELS; k++)
        html_print(page, "<th>%s %%</th>", html_number(number, sizeof number, 100 * sensitivity_levels[k], 4));
    html_raw(page, "<th>suggested</th></tr>\n");
    for (size_t i = 0; i < r->count; i++) {
        const sensitivity_layer *l = &r->layers[i];
        html_print(page, "<tr><td>%zu</td><td>%s</td><td>%s</td>", l->layer, l->shape,
                   html_fixed(number, sizeof number, (double)l->weights, 0));
        for (size_t k = 0; k < SENSITIVITY_LEVELS; k++)
            html_print(page, "<td>%s</td>", html_fixed(number, sizeof number, l->score[k], 2));
        html_print(page, "<td>%s</td></tr>\n", html_fixed(number, sizeof number, l->suggested, 2));
    }
    html_raw(page, "</table>\n");
}

dpf_status sensitivity_html(const sensitivity_result *r, const char *path, dpf_error *err) {
    html_text page = {0};
    char number[48];
    dpf_status status = DPF_OK;
    char(*text)[48] = calloc(r->count + 1, sizeof *text);
    const char **names = calloc(r->count + 1, sizeof *names);
    double *values = calloc(r->count + 1, sizeof *values);
    if (!text || !names || !values) {
        status = dpf_fail_memory(err, r->count * (sizeof *text + sizeof *names + sizeof *values), path);
        goto done;
    }
    for (size_t i = 0; i < r->count; i++) {
        snprintf(text[i], sizeof text[i], "layer %zu", r->layers[i].layer);
        names[i] = text[i];
    }
    html_page_begin(&page, "Sensitivity of each layer", chart_style());
    html_raw(&page, "<h1>Sensitivity: ");
    html_escape(&page, r->model);
    char about[256];
    describe(r, about, sizeof about);
    html_print(&page, "</h1>\n<p>%s.", about);
    html_print(&page, " Suggested: what a layer alone can lose for %s point%s.</p>\n",
               html_number(number, sizeof number, r->drop, 4), r->drop == 1 ? "" : "s");
    draw_curves(&page, r, names);
    draw_suggestions(&page, r, names, values);
    draw_table(&page, r);
    html_page_end(&page);
    status = html_save(&page, path, err);
done:
    html_free(&page);
    free(text);
    free(names);
    free(values);
    return status;
}
