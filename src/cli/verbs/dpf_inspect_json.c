/* SPDX-License-Identifier: MIT
 *
 * `dpf inspect -json`. What must stay true: the text is JSON whatever the file names
 * and weights are; numbers that JSON has no word for are null.
 */
#include <math.h>
#include <stdio.h>

#include "dpf_inspect.h"

/* Length of the UTF-8 sequence at `s`, 0 when it is none. */
static size_t sequence(const unsigned char *s) {
    if (s[0] < 0x80)
        return 1;
    const size_t length = s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 0;
    if (!length || s[0] >= 0xf5)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    const unsigned second = s[1];
    if ((s[0] == 0xe0 && second < 0xa0) || (s[0] == 0xed && second >= 0xa0) || (s[0] == 0xf0 && second < 0x90) ||
        (s[0] == 0xf4 && second >= 0x90))
        return 0; /* too long a form, half of a pair, beyond the last character */
    return length;
}

static void put_string(const char *string) {
    const unsigned char *s = (const unsigned char *)string;
    putchar('"');
    while (*s) {
        const size_t length = sequence(s);
        if (!length)
            fputs("\\ufffd", stdout);
        else if (*s == '"' || *s == '\\')
            printf("\\%c", *s);
        else if (*s < 0x20 || *s == 0x7f)
            printf("\\u%04x", *s);
        else
            fwrite(s, 1, length, stdout);
        s += length ? length : 1;
    }
    putchar('"');
}

static void put_number(const char *name, double value) {
    if (isfinite(value))
        printf(", \"%s\": %.9g", name, value);
    else
        printf(", \"%s\": null", name);
}

static double share(size_t part, size_t whole) {
    return whole ? (double)part / (double)whole : (double)NAN;
}

static void put_facts(const dpf_facts *f, int moments) {
    printf("\"weights\": %zu, \"kept\": %zu", f->weights, f->kept);
    put_number("density", share(f->kept, f->weights));
    printf(", \"filters\": %zu, \"filters_kept\": %zu", f->filters, f->filters_kept);
    put_number("filter_density", share(f->filters_kept, f->filters));
    put_number("zero_filters", share(f->filters - f->filters_kept, f->filters));
    printf(", \"kernels\": %zu, \"kernels_kept\": %zu", f->kernels, f->kernels_kept);
    put_number("kernel_density", share(f->kernels_kept, f->kernels));
    if (moments) {
        put_number("mean", f->mean);
        put_number("deviation", f->deviation);
    }
    printf(", \"not_finite\": %zu", f->not_finite);
    put_number("multiply_adds", f->multiply_adds);
    put_number("sparse_multiply_adds", f->sparse_multiply_adds);
    printf(", \"parameters\": %zu, \"bytes\": %zu, \"packed_bytes\": %zu", f->parameters, f->bytes, f->packed);
}

void inspect_print_json(const inspection *in) {
    const dpf_graph *graph = in->model->graph;
    char shape[96];
    const char *comma = "";
    printf("{\n  \"file\": ");
    put_string(in->file);
    printf(",\n  \"file_bytes\": %lld,\n  \"cfg\": ", in->file_bytes);
    if (in->cfg)
        put_string(in->cfg);
    else
        printf("null");
    printf(",\n  \"float16\": %s,\n  \"layers\": [", in->model->half ? "true" : "false");
    for (size_t i = 0; i < graph->count; i++) {
        const dpf_graph_layer *l = &graph->layers[i];
        if (!l->parameters)
            continue;
        dpf_describe_shape(graph, i, shape, sizeof shape);
        printf("%s\n    {\"layer\": %zu, \"type\": \"%s\", \"line\": %d, \"shape\": \"%s\", \"prunable\": %s, ", comma,
               i, dpf_layer_type_name(l->type), l->line, shape, l->prunable ? "true" : "false");
        put_facts(&in->facts[i], 1);
        printf("}");
        comma = ",";
    }
    printf("\n  ],\n  \"prunable\": {");
    put_facts(&in->prunable, 0);
    printf("},\n  \"all\": {");
    put_facts(&in->all, 0);
    printf("}\n}\n");
}
