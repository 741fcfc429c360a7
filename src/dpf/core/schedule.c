/* SPDX-License-Identifier: MIT
 *
 * See schedule.h.
 */
#include "schedule.h"

double dpf_schedule_target(const dpf_options *options, double final, size_t t) {
    if (t < options->begin) {
        return 0.0;
    }
    if (options->schedule == DPF_CONSTANT || t >= options->end) {
        return final;
    }
    double initial = options->initial_sparsity < final ? options->initial_sparsity : final;
    if (t == options->begin) {
        return initial;
    }
    /* Here begin < t < end, so the quotient is in (0,1). Every step below is
     * monotone in t also after rounding, which keeps s_t from ever falling. */
    double left = 1.0 - (double)(t - options->begin) / (double)(options->end - options->begin);
    double factor = options->schedule == DPF_LINEAR ? left : left * left * left;
    double target = final + (initial - final) * factor;
    return target < initial ? initial : target > final ? final : target;
}

int dpf_schedule_is_update(const dpf_options *options, size_t t) {
    if (t < options->begin || t > options->hold) {
        return 0;
    }
    return t % options->update_every == 0 || t == options->end;
}

int dpf_schedule_last_update(const dpf_options *options, size_t t, size_t *update) {
    size_t last = t < options->hold ? t : options->hold;
    size_t multiple = last - last % options->update_every;
    int found = 0;
    if (multiple >= options->begin) {
        *update = multiple;
        found = 1;
    }
    if (options->end >= options->begin && options->end <= last && (!found || options->end > multiple)) {
        *update = options->end;
        found = 1;
    }
    return found;
}
