/* SPDX-License-Identifier: MIT
 *
 * The parts of a chart that are not data: element, head, axes. See chart_frame.h.
 */
#include "chart_frame.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Sizes are those of chart_em, where room for the text is planned. */
static const char style[] =
    "svg text{font-size:12px;fill:var(--dim)}svg .v{fill:var(--ink)}"
    "svg .head{font-size:14px;font-weight:650;fill:var(--ink)}\n"
    "svg .g{stroke:var(--grid);stroke-width:1}svg .b{stroke:var(--mute);stroke-width:1}"
    "svg .l{fill:none;stroke:currentColor;stroke-width:1.75;stroke-linejoin:round;"
    "stroke-linecap:round}svg .thin{stroke-width:1;opacity:.4}"
    "svg .dot{stroke-width:6}svg .dash{stroke-width:1.25;stroke-dasharray:5 4}svg .f{fill:currentColor}\n"
    "svg .h{fill:transparent}svg .h:hover{fill:var(--ink);fill-opacity:.07}"
    ".c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}"
    ".c4{color:var(--c4)}.c5{color:var(--c5)}.cm{color:var(--mute)}\n"
    "@media (max-width:560px){svg text{font-size:15px}}\n";

const char *chart_style(void) {
    return style;
}

double chart_em(const chart *c) {
    return c->phone ? 15 : 12.5;
}

void chart_attribute(html_text *out, const char *name, double value) {
    html_print(out, " %s=\"", name);
    html_coordinate(out, value);
    html_raw(out, "\"");
}

void chart_open(html_text *out, const chart *c, double height) {
    const double pad = c->standalone ? 16 : 0; /* on a page the card has it */
    html_raw(out, "<svg");
    if (c->standalone) {
        html_raw(out, " xmlns=\"http://www.w3.org/2000/svg\"");
        chart_attribute(out, "width", c->width + 2 * pad);
        chart_attribute(out, "height", height + 2 * pad);
    }
    if (c->class_name)
        html_print(out, " class=\"%s\"", c->class_name);
    html_raw(out, " viewBox=\"");
    html_coordinate(out, -pad);
    html_raw(out, " ");
    html_coordinate(out, -pad);
    html_raw(out, " ");
    html_coordinate(out, c->width + 2 * pad);
    html_raw(out, " ");
    html_coordinate(out, height + 2 * pad);
    html_raw(out, "\" role=\"img\" aria-label=\"");
    html_escape(out, c->description ? c->description : c->title ? c->title : "chart");
    html_raw(out, "\">\n");
    if (c->standalone) {
        html_raw(out, "<style>\n");
        html_raw(out, html_colours());
        html_raw(out, style);
        html_raw(out, "svg{font-family:system-ui,'Segoe UI',Arial,sans-serif;background:var(--card)}\n</style>\n");
    }
}

void chart_close(html_text *out) {
    html_raw(out, "</svg>\n");
}

void chart_mark_begin(html_text *out, const char *tag, const char *class_name, int colour) {
    if (colour < 0)
        html_print(out, "<%s class=\"%s cm\"", tag, class_name);
    else
        html_print(out, "<%s class=\"%s c%d\"", tag, class_name, colour % CHART_COLOURS);
}

void chart_draw_text(html_text *out, double x, double y, const char *anchor, const char *class_name, const char *text) {
    html_raw(out, "<text");
    chart_attribute(out, "x", x);
    chart_attribute(out, "y", y);
    if (strcmp(anchor, "start") != 0)
        html_print(out, " text-anchor=\"%s\"", anchor);
    if (class_name)
        html_print(out, " class=\"%s\"", class_name);
    html_raw(out, ">");
    html_escape(out, text);
    html_raw(out, "</text>\n");
}

void chart_hover_begin(html_text *out, double x, double y, double width, double height) {
    html_raw(out, "<rect class=\"h\"");
    chart_attribute(out, "x", x);
    chart_attribute(out, "y", y);
    chart_attribute(out, "width", width);
    chart_attribute(out, "height", height);
    html_raw(out, "><title>");
}

void chart_hover_end(html_text *out) {
    html_raw(out, "</title></rect>\n");
}

static void swatch(html_text *out, const chart_series *s, double x, double y) {
    if (s->mark == CHART_BARS || s->mark == CHART_STEMS) {
        chart_mark_begin(out, "rect", "f", s->colour);
        chart_attribute(out, "x", x + 2);
        chart_attribute(out, "y", y - 9);
        html_raw(out, " width=\"10\" height=\"10\" rx=\"2\"/>");
        return;
    }
    chart_mark_begin(out, "path", s->dashed ? "l dash" : s->faint ? "l thin" : "l", s->colour);
    html_raw(out, " d=\"M");
    html_coordinate(out, x);
    html_raw(out, " ");
    html_coordinate(out, y - 4);
    html_raw(out, "h14\"/>");
}

double chart_head(html_text *out, const chart *c, double em) {
    enum { SWATCH = 20, APART = 16 };
    const double row = em * 1.45;
    double y = 0, x = 0;
    char text[256];
    if (c->title) {
        y += em * 1.7;
        if (out) {
            chart_cut(text, sizeof text, c->title, c->width - 8, em * 1.2);
            chart_draw_text(out, 0, y - em * 0.5, "start", "head", text);
        }
    }
    int legend = 0;
    for (size_t i = 0; i < c->series_count; i++)
        legend |= c->series_count > 1 && c->series[i].name;
    if (!legend && !c->y.label)
        return y + em * 0.8;
    y += row;
    if (c->y.label) {
        chart_cut(text, sizeof text, c->y.label, c->width * 0.6, em);
        if (out)
            chart_draw_text(out, 0, y - em * 0.35, "start", NULL, text);
        x = chart_text_width(text, em) + 2 * APART;
    }
    for (size_t i = 0; legend && i < c->series_count; i++) {
        if (!c->series[i].name)
            continue;
        chart_cut(text, sizeof text, c->series[i].name, c->width * 0.6, em);
        double width = SWATCH + chart_text_width(text, em);
        if (x > 0 && x + width > c->width) {
            x = 0;
            y += row;
        }
        if (out) {
            swatch(out, &c->series[i], x, y - em * 0.35);
            chart_draw_text(out, x + SWATCH, y - em * 0.35, "start", NULL, text);
        }
        x += width + APART;
    }
    return y + em * 0.8;
}

void chart_draw_y_axis(html_text *out, const chart_frame *f) {
    html_raw(out, "<path class=\"g\" d=\"");
    for (size_t i = 0; i < f->y_ticks.count; i++) {
        html_raw(out, "M");
        html_coordinate(out, f->left);
        html_raw(out, " ");
        html_coordinate(out, chart_place(&f->y, f->y_ticks.value[i]));
        html_raw(out, "H");
        html_coordinate(out, f->right);
    }
    html_raw(out, "\"/>\n");
    for (size_t i = 0; i < f->y_ticks.count; i++)
        chart_draw_text(out, f->left - 8, chart_place(&f->y, f->y_ticks.value[i]) + 4, "end", NULL,
                        f->y_ticks.label[i]);
}

/* Begins a path with the line along the bottom; the caller closes it. */
static void draw_bottom_line(html_text *out, const chart_frame *f) {
    html_raw(out, "<path class=\"b\" d=\"M");
    html_coordinate(out, f->left);
    html_raw(out, " ");
    html_coordinate(out, f->bottom);
    html_raw(out, "H");
    html_coordinate(out, f->right);
}

void chart_draw_x_axis(html_text *out, const chart_frame *f, const chart *c) {
    draw_bottom_line(out, f);
    for (size_t i = 0; i < f->x_ticks.count; i++) {
        html_raw(out, "M");
        html_coordinate(out, chart_place(&f->x, f->x_ticks.value[i]));
        html_raw(out, " ");
        html_coordinate(out, f->bottom);
        html_raw(out, "v4");
    }
    html_raw(out, "\"/>\n");
    for (size_t i = 0; i < f->x_ticks.count; i++)
        chart_draw_text(out, chart_place(&f->x, f->x_ticks.value[i]), f->bottom + 5 + f->em, "middle", NULL,
                        f->x_ticks.label[i]);
    if (c->x.label)
        chart_draw_text(out, f->right, f->bottom + 5 + f->em * 2.35, "end", NULL, c->x.label);
}

void chart_draw_empty(html_text *out, const chart_frame *f) {
    draw_bottom_line(out, f);
    html_raw(out, "\"/>\n");
    chart_draw_text(out, (f->left + f->right) / 2, (f->top + f->bottom) / 2 + 4, "middle", NULL, "no data");
}
