/* SPDX-License-Identifier: MIT
 *
 * chart_columns and chart_rows: bars for named categories. See chart.h.
 */
#include "chart.h"

#include <math.h>
#include <string.h>

#include "chart_frame.h"

static double value_of(const chart *c, size_t series, size_t category) {
    const chart_series *s = &c->series[series];
    double v = category < s->count ? s->y[category] : (double)NAN;
    return chart_usable(v, c->y.log) ? v : (double)NAN;
}

/* Range that the bars need; 0 when there is nothing to draw. */
static int bars_range(const chart *c, double *lo, double *hi) {
    *lo = INFINITY;
    *hi = -INFINITY;
    for (size_t k = 0; k < c->categories_count; k++) {
        double sum = 0;
        for (size_t i = 0; i < c->series_count; i++) {
            double v = value_of(c, i, k);
            if (!(v == v))
                continue;
            sum += v;
            *lo = fmin(*lo, v);
            *hi = fmax(*hi, c->stacked ? sum : v);
        }
    }
    return *lo <= *hi;
}

static double base_of(const chart_scale *s) {
    return s->log ? s->from : chart_place(s, fmin(fmax(0, s->min), s->max));
}

static void box(html_text *out, int colour, double x, double y, double width, double height) {
    chart_mark_begin(out, "rect", "f", colour);
    chart_attribute(out, "x", x);
    chart_attribute(out, "y", y);
    chart_attribute(out, "width", fmax(width, 0.5));
    chart_attribute(out, "height", fmax(height, 0.5));
    html_raw(out, "/>");
}

static void hover(html_text *out, const chart *c, size_t k, double x, double y, double width, double height) {
    char value[64];
    chart_hover_begin(out, x, y, width, height);
    html_escape(out, c->categories[k]);
    for (size_t i = 0; i < c->series_count; i++) {
        const char *name = c->series[i].name ? c->series[i].name : c->y.label;
        html_raw(out, "\n");
        html_escape(out, name);
        html_raw(out, name ? " " : "");
        chart_value(value, sizeof value, value_of(c, i, k), &c->y);
        html_escape(out, value);
    }
    chart_hover_end(out);
}

static int colour_of(const chart *c, size_t series, size_t category) {
    return c->muted && c->muted[category] ? CHART_MUTED : c->series[series].colour;
}

enum { SLANTED = 15 }; /* em: longest name below columns; slanted by 35 degrees it is 0.82 of that wide */

/* Room below the axis for names: level when each fits its slot, else slanted. */
static double names_fit(const chart *c, double slot, double em, int *slanted) {
    double widest = 0;
    for (size_t k = 0; k < c->categories_count; k++)
        widest = fmax(widest, chart_text_width(c->categories[k], em));
    *slanted = widest + em > slot;
    return *slanted ? fmin(widest, SLANTED * em) * 0.6 + em * 1.6 : em * 1.5;
}

static void draw_names(html_text *out, const chart_frame *f, const chart *c, double slot, int slanted) {
    size_t every = (size_t)ceil(f->em * 1.25 / slot); /* slanted names need a line's height each */
    char text[256];
    for (size_t k = 0; k < c->categories_count; k += slanted && every > 1 ? every : 1) {
        double x = f->left + slot * ((double)k + 0.5);
        if (!slanted) {
            chart_draw_text(out, x, f->bottom + 5 + f->em, "middle", NULL, c->categories[k]);
            continue;
        }
        chart_cut(text, sizeof text, c->categories[k], fmin(SLANTED * f->em, x / 0.83), f->em);
        html_raw(out, "<g transform=\"translate(");
        html_coordinate(out, x + 4);
        html_raw(out, " ");
        html_coordinate(out, f->bottom + 6 + f->em * 0.6);
        html_raw(out, ") rotate(-35)\">");
        chart_draw_text(out, 0, 0, "end", NULL, text);
        html_raw(out, "</g>\n");
    }
}

static void draw_columns(html_text *out, const chart_frame *f, const chart *c, double slot) {
    size_t side = c->stacked ? 1 : c->series_count;
    double bar = fmin(slot * 0.76 / (double)(side ? side : 1), 48), base = base_of(&f->y);
    for (size_t k = 0; k < c->categories_count; k++) {
        double begin = f->left + slot * ((double)k + 0.5) - bar * (double)side / 2, below = 0;
        for (size_t i = 0; i < c->series_count; i++) {
            double v = value_of(c, i, k);
            if (!(v == v))
                continue;
            double from = c->stacked && below != 0 && chart_usable(below, c->y.log) ? chart_place(&f->y, below) : base;
            double to = chart_place(&f->y, c->stacked ? below + v : v);
            box(out, colour_of(c, i, k), c->stacked ? begin : begin + bar * (double)i, fmin(from, to),
                bar > 4 && !c->stacked ? bar - 1 : bar, fabs(to - from));
            below += v;
        }
        html_raw(out, "\n");
        hover(out, c, k, f->left + slot * (double)k, f->top, slot, f->bottom - f->top);
    }
}

void chart_columns(html_text *out, const chart *c) {
    chart_frame f = {0};
    double lo, hi, slot = 0;
    int slanted = 0, any = bars_range(c, &lo, &hi);
    size_t n = c->categories_count ? c->categories_count : 1;

    f.em = chart_em(c);
    f.top = chart_head(NULL, c, f.em);
    f.left = 40;
    f.right = c->width - 6;
    f.bottom = c->height - 40;
    for (int pass = 0; pass < 3; pass++) { /* labels, slots and height depend on each other */
        slot = (f.right - f.left) / (double)n;
        double names = any ? names_fit(c, slot, f.em, &slanted) : f.em;
        f.bottom = fmax(c->height - names - 8 - (c->x.label ? f.em * 1.35 : 0), f.top + 20);
        f.y.from = f.bottom;
        f.y.to = f.top;
        size_t wanted = (size_t)fmax(2, (f.bottom - f.top) / 27);
        chart_scale_fit(&f.y, &c->y, any ? lo : INFINITY, hi, 1, 1, wanted);
        chart_ticks_pick(&f.y_ticks, &f.y, &c->y, wanted, f.em);
        chart_ticks_stack(&f.y_ticks, &f.y, f.em);
        f.left = f.y_ticks.widest + 10;
        if (any && slanted) { /* the first name begins left of its column */
            double first = fmin(chart_text_width(c->categories[0], f.em), SLANTED * f.em) * 0.83;
            f.left = fmax(f.left, fmin(first - slot / 2 + f.em, c->width * 0.15));
        }
    }
    slot = (f.right - f.left) / (double)n;
    chart_open(out, c, c->height);
    chart_head(out, c, f.em);
    if (any) {
        chart_draw_y_axis(out, &f);
        draw_columns(out, &f, c, slot);
        draw_names(out, &f, c, slot, slanted);
    } else
        chart_draw_empty(out, &f);
    html_raw(out, "<path class=\"b\" d=\"M");
    html_coordinate(out, f.left);
    html_raw(out, " ");
    html_coordinate(out, base_of(&f.y));
    html_raw(out, "H");
    html_coordinate(out, f.right);
    html_raw(out, "\"/>\n");
    if (c->x.label)
        chart_draw_text(out, f.right, c->height - 4, "end", NULL, c->x.label);
    chart_close(out);
}

static void draw_rows(html_text *out, const chart_frame *f, const chart *c, double row, double bar) {
    char text[256];
    double base = base_of(&f->x);
    for (size_t k = 0; k < c->categories_count; k++) {
        double top = f->top + row * (double)k, begin = top + (row - bar * (double)c->series_count) / 2;
        int muted = c->muted && c->muted[k];
        chart_cut(text, sizeof text, c->categories[k], f->left - 10, f->em);
        chart_draw_text(out, 0, top + row / 2 + 4, "start", muted ? NULL : "v", text);
        for (size_t i = 0; i < c->series_count; i++) {
            double v = value_of(c, i, k), y = begin + bar * (double)i, end = base;
            if (v == v) {
                end = fmin(fmax(chart_place(&f->x, v), f->left), f->right);
                box(out, colour_of(c, i, k), fmin(base, end), y, fabs(end - base), c->series_count > 1 ? bar - 1 : bar);
            }
            chart_value(text, sizeof text, v, &c->y);
            chart_draw_text(out, fmax(base, end) + 6, y + bar / 2 + 4, "start", muted ? NULL : "v", text);
        }
        html_raw(out, "\n");
        hover(out, c, k, 0, top, c->width, row);
    }
}

static void draw_row_axis(html_text *out, const chart_frame *f) {
    html_raw(out, "<path class=\"g\" d=\"");
    for (size_t i = 0; i < f->x_ticks.count; i++) {
        html_raw(out, "M");
        html_coordinate(out, chart_place(&f->x, f->x_ticks.value[i]));
        html_raw(out, " ");
        html_coordinate(out, f->top);
        html_raw(out, "V");
        html_coordinate(out, f->bottom + 4);
    }
    html_raw(out, "\"/>\n");
    for (size_t i = 0; i < f->x_ticks.count; i++)
        chart_draw_text(out, chart_place(&f->x, f->x_ticks.value[i]), f->bottom + 6 + f->em, "middle", NULL,
                        f->x_ticks.label[i]);
}

void chart_rows(html_text *out, const chart *c) {
    chart_frame f = {0};
    double lo, hi, names = 0, numbers = 0;
    char text[64];
    int any = bars_range(c, &lo, &hi);

    f.em = chart_em(c);
    for (size_t k = 0; k < c->categories_count; k++) {
        names = fmax(names, chart_text_width(c->categories[k], f.em));
        for (size_t i = 0; i < c->series_count; i++) {
            chart_value(text, sizeof text, value_of(c, i, k), &c->y);
            numbers = fmax(numbers, chart_text_width(text, f.em));
        }
    }
    double bar = c->series_count > 1 ? f.em * 1.05 : f.em * 0.9;
    double row = bar * (double)(c->series_count ? c->series_count : 1) + f.em * 0.65;
    f.top = chart_head(NULL, c, f.em);
    f.left = fmin(names, c->width * 0.42) + 10;
    f.right = c->width - numbers - 8;
    f.bottom = f.top + (any ? row * (double)c->categories_count : 60);
    chart_scale_fit(&f.x, &c->y, any ? lo : INFINITY, hi, 1, 1, 5);
    for (int pass = 0; pass < 3; pass++) { /* the outer labels of the axis stick out by half of themselves */
        f.x.from = f.left;
        f.x.to = f.right;
        chart_ticks_fit(&f.x_ticks, &f.x, &c->y, f.right - f.left, f.em);
        f.left = fmax(f.left, f.x_ticks.widest / 2);
        f.right = fmin(f.right, c->width - f.x_ticks.widest / 2);
    }

    double height = f.bottom + f.em * 1.25 + 12;
    chart_open(out, c, height);
    chart_head(out, c, f.em);
    if (any) {
        draw_row_axis(out, &f);
        draw_rows(out, &f, c, row, bar);
    } else
        chart_draw_empty(out, &f);
    chart_close(out);
}
