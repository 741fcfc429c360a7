/* SPDX-License-Identifier: MIT
 *
 * See markup.h.
 */
#include "markup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/page/chart_frame.h"

enum { DEEP = 64, NAME = 32, LABELS = 4096 };

static void bad(const char *what, const char *at) {
    fail_msg("markup: %s at '%.80s'", what, at);
}

static const char *check_entity(const char *s) {
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&#160;"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(s, known[i], strlen(known[i])) == 0)
            return s + strlen(known[i]);
    bad("a stray &", s);
    return s + 1;
}

static const char *check_character(const char *s) {
    unsigned char c = (unsigned char)*s;
    if (c == '&')
        return check_entity(s);
    if ((c < 32 && c != '\n' && c != '\t') || c == 127 || (c >= 0x80 && c < 0xc2) || c > 0xf4)
        bad("a character that XML does not have", s);
    size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc2 ? 1 : 0;
    for (size_t i = 1; i <= more; i++)
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            bad("a broken UTF-8 sequence", s);
    return s + 1 + more;
}

static size_t name_length(const char *s) {
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || s[n] == '-' || s[n] == ':')
        n++;
    return n;
}

static const char *check_attribute(const char *s) {
    static const char *const free_text[] = {"aria-label", "content", "class", "role", "charset", "lang", "name"};
    size_t n = name_length(s);
    int text = 0;
    if (!n || s[n] != '=' || s[n + 1] != '"')
        bad("an attribute without quotes", s);
    for (size_t i = 0; i < sizeof free_text / sizeof *free_text; i++)
        text |= strlen(free_text[i]) == n && strncmp(s, free_text[i], n) == 0;
    for (s += n + 2; *s && *s != '"';) {
        if (*s == '<')
            bad("< in an attribute", s);
        if (!text && (strncmp(s, "nan", 3) == 0 || strncmp(s, "inf", 3) == 0))
            bad("a coordinate that is no number", s);
        s = check_character(s);
    }
    if (!*s)
        bad("an attribute without end", s);
    return s + 1;
}

void markup_check(const char *text) {
    char open[DEEP][NAME];
    size_t deep = 0, elements = 0;
    const char *s = text;
    if (strncmp(s, "<!DOCTYPE html>", 15) == 0)
        s += 15;
    while (*s) {
        if (*s != '<') {
            if (!deep && !isspace((unsigned char)*s))
                bad("text outside of all elements", s);
            s = check_character(s);
            continue;
        }
        int end = s[1] == '/';
        const char *name = s + 1 + end;
        size_t n = name_length(name);
        if (!n || n >= NAME || !isalpha((unsigned char)*name))
            bad("a stray <", s);
        s = name + n;
        if (end) {
            if (!deep || strlen(open[deep - 1]) != n || strncmp(open[deep - 1], name, n) != 0 || *s != '>')
                bad("an end without its beginning", name);
            deep--;
            s++;
            continue;
        }
        elements++;
        while (isspace((unsigned char)*s))
            s = check_attribute(s + 1);
        if (s[0] == '/' && s[1] == '>') {
            s += 2;
            continue;
        }
        if (*s != '>' || deep == DEEP) {
            bad("an element without end, or too deep", name);
            return;
        }
        s++;
        memcpy(open[deep], name, n);
        open[deep++][n] = 0;
    }
    if (deep || !elements)
        bad("an element that is not closed", deep ? open[deep - 1] : "");
}

typedef struct label {
    double left, right, y;
    char text[256];
} label;

static double number_of(const char *tag, const char *name) {
    char pattern[32];
    snprintf(pattern, sizeof pattern, " %s=\"", name);
    const char *at = strstr(tag, pattern);
    assert_non_null(at);
    return strtod(at + strlen(pattern), NULL);
}

/* Reads <text ...>...</text>. */
static label read_label(const char *at, double em) {
    label l = {0};
    char tag[256];
    const char *close = strchr(at, '>');
    assert_non_null(close);
    snprintf(tag, sizeof tag, "%.*s", (int)(close - at), at);
    size_t n = 0;
    for (const char *s = close + 1; *s && *s != '<' && n + 1 < sizeof l.text; s++) {
        l.text[n++] = *s;
        if (*s == '&')
            s = strchr(s, ';');
    }
    double width = chart_text_width(l.text, em), x = number_of(tag, "x");
    double shift = strstr(tag, "\"middle\"") ? width / 2 : strstr(tag, "\"end\"") ? width : 0;
    l.left = x - shift;
    l.right = l.left + width;
    l.y = number_of(tag, "y");
    return l;
}

static void check_picture(const char *begin, const char *end) {
    static label labels[LABELS];
    size_t count = 0;
    double left, top, width, height;
    const char *box = strstr(begin, "viewBox=\"");
    assert_non_null(box);
    assert_int_equal(sscanf(box, "viewBox=\"%lf %lf %lf %lf", &left, &top, &width, &height), 4);
    double em = width < 600 ? 15 : 12.5;
    for (const char *s = begin; (s = strstr(s, "<text")) && s < end; s++) {
        static const char slanted[] = "rotate(-35)\">";
        if (strncmp(s - strlen(slanted), slanted, strlen(slanted)) == 0)
            continue;
        assert_true(count < LABELS);
        labels[count] = read_label(s, em);
        const label *l = &labels[count++];
        if (l->left < -0.5 || l->right > width + 0.5 || l->y > height || l->y < em * 0.7)
            fail_msg("label '%s' leaves its picture: %.1f to %.1f of %.1f, y %.1f of %.1f", l->text, l->left, l->right,
                     width, l->y, height);
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            if (fabs(labels[i].y - labels[k].y) < em * 0.85 && labels[i].left < labels[k].right &&
                labels[k].left < labels[i].right)
                fail_msg("labels '%s' and '%s' overlap", labels[i].text, labels[k].text);
}

void markup_check_labels(const char *text) {
    for (const char *s = text; (s = strstr(s, "<svg"));) {
        /* the picture ends with the </svg> that closes it: inner ones come in between */
        const char *end = s;
        int deep = 0;
        do {
            const char *next_end = strstr(end + 1, "</svg>"), *next = strstr(end + 1, "<svg");
            assert_non_null(next_end);
            if (next && next < next_end) {
                deep++;
                end = next;
            } else {
                deep--;
                end = next_end;
            }
        } while (deep >= 0);
        check_picture(s, end);
        s = end;
    }
}
