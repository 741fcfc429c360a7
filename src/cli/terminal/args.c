/* SPDX-License-Identifier: MIT
 *
 * See args.h.
 */
#include "args.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../dpf/core/options.h"
#include "say.h"

enum { MOST_FLAGS = 32 };

static const args_flag *find_flag(const char *name, const args_flag *flags, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(flags[i].name, name) == 0)
            return &flags[i];
    return NULL;
}

static dpf_status unknown_flag(const char *name, const args_flag *flags, size_t count, dpf_error *err) {
    const char *names[MOST_FLAGS + 1];
    size_t n = 0;
    for (size_t i = 0; i < count && n < MOST_FLAGS; i++)
        if (flags[i].target)
            names[n++] = flags[i].name;
    names[n] = NULL;
    const char *bare = name + strspn(name, "-") - 1; /* --seed is near to -seed */
    const char *nearest = dpf_nearest_word(bare, names);
    if (nearest)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "unknown flag '%s'; did you mean '%s'?", name, nearest);
    char list[512] = "";
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(list);
        if (used + strlen(names[i]) + 2 < sizeof list) {
            strcpy(list + used, " ");
            strcpy(list + used + 1, names[i]);
        }
    }
    return dpf_fail(err, DPF_ERR_ARGUMENT, "unknown flag '%s'; the flags here are%s", name, list);
}

static dpf_status take_count(const args_flag *flag, const char *text, dpf_error *err) {
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    /* strtoull takes "-1" for a huge number, so the first character is looked at */
    if (!isdigit((unsigned char)text[0]) || *end || errno || value < flag->low || value > flag->high)
        return dpf_fail(err, DPF_ERR_RANGE, "%s '%s': a whole number from %llu to %llu is wanted", flag->name, text,
                        (unsigned long long)flag->low, (unsigned long long)flag->high);
    *(uint64_t *)flag->target = value;
    return DPF_OK;
}

static dpf_status take_share(const args_flag *flag, const char *text, dpf_error *err) {
    char *end = NULL;
    const double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0 && value <= 1))
        return dpf_fail(err, DPF_ERR_RANGE, "%s '%s': a number from 0 to 1 is wanted", flag->name, text);
    *(double *)flag->target = value;
    return DPF_OK;
}

static dpf_status take_flag(const args_flag *flag, const char *value, dpf_error *err) {
    if (flag->given)
        *flag->given = 1;
    switch (flag->kind) {
    case ARGS_SWITCH:
        *(int *)flag->target = 1;
        return DPF_OK;
    case ARGS_COUNT:
        return take_count(flag, value, err);
    case ARGS_SHARE:
        return take_share(flag, value, err);
    case ARGS_TEXT:
        *(const char **)flag->target = value;
        return DPF_OK;
    case ARGS_IGNORED_SWITCH:
    case ARGS_IGNORED_VALUE:
        say("note: %s is ignored: this program computes on the CPU and opens no windows", flag->name);
        return DPF_OK;
    }
    return DPF_OK;
}

static int wants_value(const args_flag *flag) {
    return flag->kind == ARGS_COUNT || flag->kind == ARGS_SHARE || flag->kind == ARGS_TEXT ||
           flag->kind == ARGS_IGNORED_VALUE;
}

dpf_status args_parse(int argc, char *const *argv, const args_flag *flags, size_t flag_count, const char **words,
                      size_t least, size_t most, const char *usage, dpf_error *err) {
    size_t found = 0;
    for (size_t i = 0; i < most; i++)
        words[i] = NULL;
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i];
        if (arg[0] != '-' || !arg[1]) {
            if (found == most)
                return dpf_fail(err, DPF_ERR_ARGUMENT, "'%s' is one argument too many; usage: %s", arg, usage);
            words[found++] = arg;
            continue;
        }
        const args_flag *flag = find_flag(arg, flags, flag_count);
        if (!flag)
            return unknown_flag(arg, flags, flag_count, err);
        const char *value = NULL;
        if (wants_value(flag)) {
            if (i + 1 == argc)
                return dpf_fail(err, DPF_ERR_ARGUMENT, "%s needs a value; usage: %s", arg, usage);
            value = argv[++i];
        }
        dpf_status status = take_flag(flag, value, err);
        if (status)
            return status;
    }
    if (found < least)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "too few arguments; usage: %s", usage);
    return DPF_OK;
}

char *args_join(char *const *words) {
    size_t length = 1;
    for (size_t i = 0; words[i]; i++)
        length += strlen(words[i]) + 1;
    char *text = malloc(length), *at = text;
    if (!text)
        return NULL;
    *at = 0;
    for (size_t i = 0; words[i]; i++) {
        if (i)
            *at++ = ' ';
        at = stpcpy(at, words[i]);
    }
    return text;
}
