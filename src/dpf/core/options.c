/* SPDX-License-Identifier: MIT
 *
 * See options.h. Every message reads `FILE:LINE: [section] key=value: what is
 * wrong`, and nothing is guessed: a value that is not understood is an error.
 */
#include "options.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Darknet counts iterations in an int. */
static const size_t most_iterations = 2147483647;

/* Where a value stands, for the messages. */
typedef struct place {
    const char *file, *section;
    const dpf_key *key;
    dpf_error *err;
} place;

static dpf_status fail_at(const place *at, dpf_status status, const char *what, const char *more) {
    return dpf_fail(at->err, status, "%s:%d: [%s] %.60s=%.60s: %s%s", at->file, at->key->line, at->section,
                    at->key->key, at->key->value, what, more);
}

/* ---- values ---- */

static int is_number(const char *text, double *value, const char **end) {
    /* strtod would also take "inf", "nan" and "0x1p3". */
    size_t length = strspn(text, "0123456789+-.eE");
    char *stop;
    *value = strtod(text, &stop);
    *end = stop;
    return length > 0 && stop > text && stop <= text + length && isfinite(*value);
}

/* A share between 0 and 1; the upper end is allowed only if `closed`. */
static dpf_status parse_share(const place *at, int closed, double *share) {
    const char *end;
    double value;
    const char *allowed = closed ? "must be at least 0 and at most 1 (a share, not a per cent)"
                                 : "must be at least 0 and below 1 (a share, not a per cent)";
    int number = is_number(at->key->value, &value, &end);
    int percent_sign = number && strcmp(end, "%") == 0;
    if (!number || (*end && !percent_sign)) {
        return fail_at(at, DPF_ERR_FORMAT, "not a number; it ", allowed);
    }
    if (value >= 0 && !percent_sign && (closed ? value <= 1 : value < 1)) {
        *share = value;
        return DPF_OK;
    }
    if (percent_sign ? value >= 0 && value < 100 : value >= 2 && value < 100) {
        /* At least two decimals, more when the value had some. */
        int decimals = 2;
        while (decimals < 8 && fabs(round(value * pow(10, decimals - 2)) - value * pow(10, decimals - 2)) > 1e-6) {
            decimals++;
        }
        return dpf_fail(at->err, DPF_ERR_RANGE, "%s:%d: [%s] %.60s=%.60s: %s; did you mean %.*f?", at->file,
                        at->key->line, at->section, at->key->key, at->key->value, allowed, decimals, value / 100);
    }
    return fail_at(at, DPF_ERR_RANGE, allowed, "");
}

static dpf_status parse_iterations(const place *at, size_t least, size_t *iterations) {
    const char *text = at->key->value;
    size_t digits = strspn(text, "0123456789");
    const char *allowed =
        least ? "must be a whole number from 1 to 2147483647" : "must be a whole number from 0 to 2147483647";
    const char *end;
    double number;
    if (!digits || text[digits]) {
        int other = is_number(text, &number, &end) && !*end; /* -1, 1.5, 1e3: a number, but not one of these */
        return fail_at(at, other ? DPF_ERR_RANGE : DPF_ERR_FORMAT, allowed, "");
    }
    size_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        value = value * 10 + (size_t)(text[i] - '0');
        if (value > most_iterations) {
            return fail_at(at, DPF_ERR_RANGE, allowed, "");
        }
    }
    if (value < least) {
        return fail_at(at, DPF_ERR_RANGE, allowed, "");
    }
    *iterations = value;
    return DPF_OK;
}

static dpf_status parse_switch(const place *at, int *value) {
    if (strcmp(at->key->value, "0") == 0 || strcmp(at->key->value, "1") == 0) {
        *value = at->key->value[0] - '0';
        return DPF_OK;
    }
    double number;
    const char *end;
    int other = is_number(at->key->value, &number, &end) && !*end;
    return fail_at(at, other ? DPF_ERR_RANGE : DPF_ERR_FORMAT, "must be 0 or 1", "");
}

/* The index of the value in a NULL-terminated list. `choices` is the list in words. */
static dpf_status parse_word(const place *at, const char *const *words, const char *choices, int *index) {
    for (int i = 0; words[i]; i++) {
        if (strcmp(at->key->value, words[i]) == 0) {
            *index = i;
            return DPF_OK;
        }
    }
    const char *near = dpf_nearest_word(at->key->value, words);
    return dpf_fail(at->err, DPF_ERR_FORMAT, "%s:%d: [%s] %.60s=%.60s: must be %s%s%s%s", at->file, at->key->line,
                    at->section, at->key->key, at->key->value, choices, near ? "; did you mean " : "", near ? near : "",
                    near ? "?" : "");
}

static dpf_status parse_granularity(const place *at) {
    static const char *const later[] = {"filter", "channel", "kernel", "row", "column", "block", "vector", NULL};
    const char *value = at->key->value;
    if (strcmp(value, "weight") == 0) {
        return DPF_OK;
    }
    size_t n = strspn(value, "0123456789");
    size_t m = n && (value[n] == ':' || value[n] == 'x') ? strspn(value + n + 1, "0123456789") : 0;
    int planned = m && !value[n + 1 + m]; /* 2:4, 4x1 */
    for (size_t i = 0; later[i]; i++) {
        size_t length = strlen(later[i]);
        planned |= strncmp(value, later[i], length) == 0 && (!value[length] || !strcmp(value + length, "s"));
    }
    if (planned) {
        return fail_at(at, DPF_ERR_UNSUPPORTED,
                       "not supported: this version prunes single weights (granularity=weight)", "");
    }
    static const char *const words[] = {"weight", NULL};
    int index;
    return parse_word(at, words, "weight", &index);
}

/* ---- the [dpf] section ---- */

enum { SPARSITY, INITIAL, EVERY, BEGIN, END, HOLD, SCHEDULE, SCOPE, MIN_DENSITY, FEEDBACK, GRANULARITY, KEYS };
static const char *const key_names[KEYS + 1] = {
    "sparsity", "initial_sparsity", "update_every", "begin",       "end", "hold", "schedule",
    "scope",    "min_density",      "feedback",     "granularity", NULL};

static int key_index(const char *key) {
    int i = 0;
    while (key_names[i] && strcmp(key, key_names[i])) {
        i++;
    }
    return i;
}

static dpf_status parse_value(dpf_options *o, int index, const place *at) {
    static const char *const schedules[] = {"cubic", "linear", "constant", NULL};
    static const char *const scopes[] = {"global", "layer", NULL};
    dpf_status status = DPF_OK;
    int word = 0;
    switch (index) {
    case SPARSITY:
        return parse_share(at, 0, &o->sparsity);
    case INITIAL:
        return parse_share(at, 0, &o->initial_sparsity);
    case EVERY:
        return parse_iterations(at, 1, &o->update_every);
    case BEGIN:
        return parse_iterations(at, 0, &o->begin);
    case END:
        o->has_end = 1;
        return parse_iterations(at, 0, &o->end);
    case HOLD:
        o->has_hold = 1;
        return parse_iterations(at, 0, &o->hold);
    case SCHEDULE:
        status = parse_word(at, schedules, "cubic, linear or constant", &word);
        o->schedule = (dpf_schedule_kind)word;
        return status;
    case SCOPE:
        status = parse_word(at, scopes, "global or layer", &word);
        o->scope = (dpf_scope)word;
        return status;
    case MIN_DENSITY:
        return parse_share(at, 1, &o->min_density);
    case FEEDBACK:
        return parse_switch(at, &o->feedback);
    default:
        return parse_granularity(at);
    }
}

static dpf_status fail_unknown(const place *at) {
    const char *near = dpf_nearest_word(at->key->key, key_names);
    if (near) {
        return dpf_fail(at->err, DPF_ERR_FORMAT, "%s:%d: [%s] %.60s=%.60s: unknown key; did you mean %s?", at->file,
                        at->key->line, at->section, at->key->key, at->key->value, near);
    }
    return fail_at(at, DPF_ERR_FORMAT,
                   "unknown key; the keys are sparsity, initial_sparsity, update_every, begin, end, hold, schedule, "
                   "scope, min_density, feedback and granularity",
                   "");
}

/* What one key says against another. `at` per key, NULL when it was not given. */
static dpf_status check_together(const dpf_options *o, const place *at) {
    const place *initial = &at[INITIAL], *density = &at[MIN_DENSITY];
    if (initial->key && o->initial_sparsity > o->sparsity) {
        return dpf_fail(initial->err, DPF_ERR_RANGE,
                        "%s:%d: [dpf] initial_sparsity=%s: must be at most sparsity=%s (line %d)", initial->file,
                        initial->key->line, initial->key->value, at[SPARSITY].key->value, at[SPARSITY].key->line);
    }
    if (density->key && o->scope == DPF_LAYER && o->min_density > 0) {
        return dpf_fail(density->err, DPF_ERR_RANGE,
                        "%s:%d: [dpf] min_density=%s: only scope=global has a use for it, but line %d says scope=layer",
                        density->file, density->key->line, density->key->value, at[SCOPE].key->line);
    }
    /* The slack is for decimal fractions: 1 - 0.9 is a little less than 0.1. */
    if (density->key && o->min_density > 1 - o->sparsity + 1e-9) {
        return dpf_fail(density->err, DPF_ERR_RANGE,
                        "%s:%d: [dpf] min_density=%s: must be at most %.6g, what sparsity=%s (line %d) leaves",
                        density->file, density->key->line, density->key->value, 1 - o->sparsity,
                        at[SPARSITY].key->value, at[SPARSITY].key->line);
    }
    return DPF_OK;
}

dpf_status dpf_options_parse(dpf_options *options, const char *file, int section_line, const dpf_key *keys,
                             size_t count, dpf_error *err) {
    dpf_options o = {.update_every = 16, .schedule = DPF_CUBIC, .scope = DPF_GLOBAL, .feedback = 1};
    place seen[KEYS] = {{0}};
    for (size_t i = 0; i < count; i++) {
        place at = {.file = file, .section = "dpf", .key = &keys[i], .err = err};
        int index = key_index(keys[i].key);
        if (index == KEYS) {
            return fail_unknown(&at);
        }
        if (seen[index].key) {
            return dpf_fail(err, DPF_ERR_FORMAT, "%s:%d: [dpf] %s=%.60s: given a second time (first on line %d)", file,
                            keys[i].line, keys[i].key, keys[i].value, seen[index].key->line);
        }
        seen[index] = at;
        dpf_status status = parse_value(&o, index, &at);
        if (status) {
            return status;
        }
    }
    if (!seen[SPARSITY].key) {
        return dpf_fail(err, DPF_ERR_FORMAT,
                        "%s:%d: [dpf] has no sparsity=: say which share of the weights to prune, such as sparsity=0.9",
                        file, section_line);
    }
    dpf_status status = check_together(&o, seen);
    if (status) {
        return status;
    }
    *options = o;
    return DPF_OK;
}

dpf_status dpf_options_finish(dpf_options *options, const char *file, int section_line, size_t max_batches,
                              size_t second_step, dpf_error *err) {
    dpf_options o = *options;
    const char *origin = o.has_end ? "as given" : "by default half of max_batches";
    if (!o.has_hold) {
        o.hold = max_batches ? max_batches : SIZE_MAX; /* training for ever: never frozen */
    }
    if (!o.has_end && o.schedule == DPF_CONSTANT) {
        o.end = o.begin; /* there is no ramp */
        origin = "as begin";
    } else if (!o.has_end) {
        if (!max_batches) {
            return dpf_fail(err, DPF_ERR_RANGE,
                            "%s:%d: [dpf] needs end=: without max_batches in [net] there is no default for it", file,
                            section_line);
        }
        o.end = max_batches / 2;
        if (second_step && second_step <= max_batches) {
            o.end = second_step;
            origin = "by default the second of the steps";
        }
        if (o.end > o.hold) {
            o.end = o.hold;
            origin = "by default not after hold";
        }
    }
    if (o.begin > o.end) {
        return dpf_fail(err, DPF_ERR_RANGE, "%s:%d: [dpf] begin=%zu: must be at most end=%zu (%s)", file, section_line,
                        o.begin, o.end, origin);
    }
    if (o.end > o.hold && o.has_hold) {
        return dpf_fail(err, DPF_ERR_RANGE, "%s:%d: [dpf] end=%zu (%s): must be at most hold=%zu", file, section_line,
                        o.end, origin, o.hold);
    }
    if (max_batches && o.end > max_batches) {
        return dpf_fail(err, DPF_ERR_RANGE, "%s:%d: [dpf] end=%zu (%s): must be at most max_batches=%zu", file,
                        section_line, o.end, origin, max_batches);
    }
    if (max_batches && o.hold > max_batches) {
        return dpf_fail(err, DPF_ERR_RANGE, "%s:%d: [dpf] hold=%zu: must be at most max_batches=%zu", file,
                        section_line, o.hold, max_batches);
    }
    *options = o;
    return DPF_OK;
}

/* ---- the keys of a layer ---- */

static const char *const layer_keys[] = {"prune", "sparsity", NULL};

int dpf_layer_options_is_key(const char *key) {
    return strcmp(key, layer_keys[0]) == 0 || strcmp(key, layer_keys[1]) == 0;
}

dpf_status dpf_layer_options_parse(dpf_layer_options *options, const char *file, const dpf_key *keys, size_t count,
                                   dpf_error *err) {
    dpf_layer_options o = {.prune = -1, .sparsity = -1};
    const dpf_key *seen[2] = {NULL, NULL};
    for (size_t i = 0; i < count; i++) {
        if (!dpf_layer_options_is_key(keys[i].key)) {
            /* Darknet skips a key that it does not know; one of ours with a slip must not go that way */
            const char *meant = dpf_nearest_word(keys[i].key, layer_keys);
            if (meant) {
                return dpf_fail(err, DPF_ERR_FORMAT, "%s:%d: [convolutional] unknown key '%.60s'; did you mean '%s'?",
                                file, keys[i].line, keys[i].key, meant);
            }
            continue;
        }
        place at = {.file = file, .section = "convolutional", .key = &keys[i], .err = err};
        int which = strcmp(keys[i].key, layer_keys[0]) != 0;
        if (seen[which]) {
            return dpf_fail(err, DPF_ERR_FORMAT,
                            "%s:%d: [convolutional] %s=%.60s: given a second time (first on line %d)", file,
                            keys[i].line, keys[i].key, keys[i].value, seen[which]->line);
        }
        seen[which] = &keys[i];
        dpf_status status = which ? parse_share(&at, 0, &o.sparsity) : parse_switch(&at, &o.prune);
        if (status) {
            return status;
        }
    }
    if (seen[1] && o.prune == 0) {
        return dpf_fail(err, DPF_ERR_RANGE,
                        "%s:%d: [convolutional] sparsity=%s: has no meaning in a layer with prune=0 (line %d)", file,
                        seen[1]->line, seen[1]->value, seen[0]->line);
    }
    *options = o;
    return DPF_OK;
}
