/* SPDX-License-Identifier: MIT
 *
 * The page about one training run: head, key figures, table. See report.h.
 */
#include "report.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "report_page.h"

double report_share(size_t part, size_t whole) {
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* "64 x 32 x 3 x 3 /1" with real multiplication signs. */
void report_shape(char *out, size_t size, const report_layer *layer) {
    size_t n = 0;
    for (const char *s = layer->shape; s < layer->shape + sizeof layer->shape && *s && n + 3 < size; s++)
        if (*s == 'x' && s > layer->shape && s[-1] == ' ' && s[1] == ' ') {
            out[n++] = (char)0xc3;
            out[n++] = (char)0x97;
        } else
            out[n++] = *s;
    out[n] = 0;
}

static void total(page *p) {
    const report *r = p->r;
    size_t all = 0;
    for (size_t i = 0; i < r->layers_count; i++) {
        all += r->layers[i].weights;
        if (r->layers[i].prunable) {
            p->prunable += r->layers[i].weights;
            p->kept += r->layers[i].kept < r->layers[i].weights ? r->layers[i].kept : r->layers[i].weights;
        }
    }
    p->parameters = r->parameters > all ? r->parameters : all;
    p->parameters_kept = p->parameters - (p->prunable - p->kept);
    p->sparse = r->target_sparsity >= 0;
}

static void print_count(html_text *out, size_t count) {
    char text[32];
    html_raw(out, html_fixed(text, sizeof text, (double)count, 0));
}

static void print_share(html_text *out, double per_cent) {
    char text[32];
    html_raw(out, html_fixed(text, sizeof text, per_cent, 2));
    html_raw(out, "&#160;%");
}

/* ---- key figures ---- */

static void tile(page *p, const char *value, const char *what) {
    html_raw(p->out, "<div class=\"tile\"><b>");
    html_escape(p->out, value);
    html_raw(p->out, "</b><span>");
    html_escape(p->out, what);
    html_raw(p->out, "</span></div>\n");
}

/* The last point of each of the first two scores, with the best one. */
static void score_tiles(page *p) {
    const report *r = p->r;
    size_t shown = 0;
    for (size_t i = 0; i < r->scores_count && shown < 2; i++) {
        int repeated = 0;
        size_t best = i, last = i;
        for (size_t k = 0; k < r->scores_count; k++) {
            if (strncmp(r->scores[k].name, r->scores[i].name, sizeof r->scores[k].name) != 0)
                continue;
            repeated |= k < i;
            last = k;
            if (r->scores[k].value > r->scores[best].value)
                best = k;
        }
        if (repeated)
            continue;
        char value[64], text[192], number[32], at[32];
        snprintf(value, sizeof value, "%s %%", html_fixed(number, sizeof number, r->scores[last].value, 2));
        int n = snprintf(text, sizeof text, "%.31s", r->scores[i].name);
        if (r->scores[best].value > r->scores[last].value)
            snprintf(text + n, sizeof text - (size_t)n, ", best %s %% at %s",
                     html_fixed(number, sizeof number, r->scores[best].value, 2),
                     html_fixed(at, sizeof at, (double)r->scores[best].iteration, 0));
        tile(p, value, text);
        shown++;
    }
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_speed(page *p) {
    size_t n = 0;
    for (size_t i = 0; i < p->r->rows_count; i++)
        if (isfinite(p->r->rows[i].images_per_s) && p->r->rows[i].images_per_s > 0)
            p->z[n++] = p->r->rows[i].images_per_s;
    if (!n)
        return NAN;
    qsort(p->z, n, sizeof *p->z, compare_doubles);
    return p->z[n / 2];
}

static void tiles(page *p) {
    const report *r = p->r;
    char value[64], text[192], number[32], other[32];
    double speed = median_speed(p);
    html_raw(p->out, "<div class=\"tiles\">\n");
    score_tiles(p);
    if (p->sparse) {
        double s = p->prunable     ? 100 - report_share(p->kept, p->prunable)
                   : r->rows_count ? 100 * r->rows[r->rows_count - 1].sparsity
                                   : (double)NAN;
        snprintf(value, sizeof value, "%s %%", html_fixed(number, sizeof number, s, 2));
        snprintf(text, sizeof text, "sparsity of the prunable weights, target %s %%",
                 html_number(other, sizeof other, 100 * r->target_sparsity, 4));
        tile(p, value, text);
    }
    if (p->parameters) {
        html_fixed(number, sizeof number, (double)p->parameters_kept, 0);
        html_fixed(other, sizeof other, (double)p->parameters, 0);
        if (p->sparse && p->parameters_kept) {
            char times[32];
            double factor = (double)p->parameters / (double)p->parameters_kept;
            snprintf(value, sizeof value, "%s\xc3\x97", html_fixed(times, sizeof times, factor, factor < 100 ? 1 : 0));
            snprintf(text, sizeof text, "fewer parameters: %s of %s left", number, other);
            tile(p, value, text);
        } else
            tile(p, other, "parameters");
    }
    if (r->rows_count) {
        const report_row *last = &r->rows[r->rows_count - 1];
        snprintf(text, sizeof text, "average loss after %s iteration%s",
                 html_fixed(other, sizeof other, (double)last->iteration, 0), last->iteration == 1 ? "" : "s");
        tile(p, html_number(number, sizeof number, (double)last->average_loss, 4), text);
    }
    tile(p, html_duration(value, sizeof value, r->seconds), "training time");
    if (speed == speed)
        tile(p, html_fixed(number, sizeof number, speed, speed < 100 ? 1 : 0), "images/s (median)");
    html_raw(p->out, "</div>\n");
}

static void cells(html_text *out, size_t weights, size_t kept) {
    html_raw(out, "<td>");
    print_count(out, weights);
    html_raw(out, "</td><td>");
    print_count(out, kept);
    html_raw(out, "</td><td>");
    print_share(out, report_share(kept, weights));
    html_raw(out, "</td><td>");
    print_share(out, weights ? 100 - report_share(kept, weights) : 0);
    html_raw(out, "</td></tr>\n");
}

static void layer_table(page *p) {
    const report *r = p->r;
    html_text *out = p->out;
    html_raw(out, "<section class=\"card wide flow\">\n<h2>Layers</h2>\n<div class=\"scroll\"><table>\n<thead><tr>"
                  "<th>layer</th><th class=\"text\">shape</th><th>weights</th><th>kept</th><th>density</th>"
                  "<th>sparsity</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < r->layers_count; i++) {
        const report_layer *layer = &r->layers[i];
        char shape[160];
        report_shape(shape, sizeof shape, layer);
        html_print(out, "<tr%s><td>%d</td><td class=\"text\">", layer->prunable || !p->sparse ? "" : " class=\"muted\"",
                   layer->index);
        html_escape(out, shape);
        html_raw(out, layer->prunable || !p->sparse ? "</td>" : " \xc2\xb7 dense</td>");
        cells(out, layer->weights, layer->kept);
    }
    html_raw(out, "</tbody>\n<tfoot>\n");
    if (p->prunable) {
        html_raw(out, "<tr><td colspan=\"2\" class=\"text\">prunable layers</td>");
        cells(out, p->prunable, p->kept);
    }
    html_raw(out, "<tr><td colspan=\"2\" class=\"text\">all parameters</td>");
    cells(out, p->parameters, p->parameters_kept);
    html_raw(out, "</tfoot>\n</table></div>\n</section>\n");
}

/* ---- page ---- */

static void source(page *p, const char *title, const char *text) {
    html_print(p->out, "<section class=\"card wide flow\">\n<h2>%s</h2>\n<pre>", title);
    html_escape(p->out, text);
    html_raw(p->out, "</pre>\n</section>\n");
}

static void write_page(page *p) {
    const report *r = p->r;
    const char *title = r->title && *r->title ? r->title : "unnamed model";
    total(p);
    html_page_begin(p->out, title, chart_style());
    html_raw(p->out, "<h1>");
    html_escape(p->out, title);
    html_raw(p->out, "</h1>\n<p class=\"dim\">");
    html_raw(p->out, p->sparse ? "Training with dynamic pruning with feedback</p>\n" : "Dense training</p>\n");
    tiles(p);
    html_raw(p->out, "<div class=\"grid\">\n");
    if (r->rows_count) {
        report_loss_chart(p);
        if (p->sparse) {
            report_sparsity_chart(p);
            report_flips_chart(p);
        }
    } else
        html_raw(p->out, "<p class=\"card wide\">No iteration was logged.</p>\n");
    report_score_chart(p);
    if (r->rows_count) {
        report_rate_chart(p);
        report_speed_chart(p);
    }
    if (r->layers_count && p->sparse)
        report_density_chart(p);
    if (r->layers_count)
        layer_table(p);
    if (r->cfg_text && *r->cfg_text)
        source(p, "Settings as used", r->cfg_text);
    if (r->command && *r->command)
        source(p, "Command", r->command);
    html_raw(p->out, "</div>\n");
    html_page_end(p->out);
}

dpf_status report_write(const report *r, const char *path, dpf_error *err) {
    html_text out = {0};
    page p = {.r = r, .out = &out};
    if (r->rows_count > SIZE_MAX / 3 / sizeof(double) - 1 || r->scores_count > SIZE_MAX / 2 / sizeof(double))
        return dpf_fail(err, DPF_ERR_ARGUMENT, "%s: too many rows for a report", path);
    p.x = malloc((r->rows_count + 1) * 3 * sizeof(double)); /* + 1: zero rows are fine */
    if (!p.x)
        return dpf_fail_memory(err, (r->rows_count + 1) * 3ULL * sizeof(double), path);
    p.y = p.x + r->rows_count;
    p.z = p.y + r->rows_count;
    write_page(&p);
    dpf_status status = html_save(&out, path, err);
    html_free(&out);
    free(p.x);
    return status;
}
