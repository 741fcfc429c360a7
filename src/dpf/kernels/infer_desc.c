/* SPDX-License-Identifier: MIT
 *
 * See infer_desc.h.
 */
#include "infer_desc.h"

#define LIMIT ((size_t)1 << 31) /* floats of an array */

/* a * b, or LIMIT where that would be larger: callers only compare. */
static size_t capped(size_t a, size_t b) {
    size_t product;
    if (__builtin_mul_overflow(a, b, &product) || product > LIMIT)
        return LIMIT;
    return product;
}

static int too_large(const infer_desc *d) {
    size_t plane = capped(d->height + 2 * d->pad + d->size, d->width + 2 * d->pad + d->size);
    size_t most = d->channels > d->filters ? d->channels : d->filters;
    return capped(capped(plane, most), 4) >= LIMIT || capped(capped(plane, most), d->batch) >= LIMIT ||
           capped(capped(d->channels, d->filters), capped(d->size, d->size)) >= LIMIT;
}

dpf_status infer_desc_make(infer_desc *desc, const dpf_conv_shape *s, dpf_activation act, dpf_error *err) {
    if (s->batch < 1 || s->c < 1 || s->h < 1 || s->w < 1 || s->n < 1 || s->size < 1 || s->stride < 1 || s->groups < 1 ||
        s->pad < 0)
        return dpf_fail(err, DPF_ERR_RANGE, "convolution: every size must be at least 1 and pad at least 0");
    if (s->c % s->groups || s->n % s->groups)
        return dpf_fail(err, DPF_ERR_RANGE, "convolution: groups=%d must divide the %d channels and the %d filters",
                        s->groups, s->c, s->n);
    if (s->size > 4096 || s->stride > 4096 || s->pad > 4096)
        return dpf_fail(err, DPF_ERR_RANGE, "convolution: size=%d, stride=%d and pad=%d must be at most 4096", s->size,
                        s->stride, s->pad);
    if ((long)s->h + 2 * s->pad < s->size || (long)s->w + 2 * s->pad < s->size)
        return dpf_fail(err, DPF_ERR_RANGE, "convolution: a %dx%d filter does not fit a %dx%d picture with pad=%d",
                        s->size, s->size, s->w, s->h, s->pad);
    infer_desc d = {.batch = (size_t)s->batch,
                    .channels = (size_t)s->c,
                    .height = (size_t)s->h,
                    .width = (size_t)s->w,
                    .filters = (size_t)s->n,
                    .size = (size_t)s->size,
                    .stride = (size_t)s->stride,
                    .pad = (size_t)s->pad,
                    .groups = (size_t)s->groups,
                    .act = act};
    if (too_large(&d))
        return dpf_fail(err, DPF_ERR_RANGE,
                        "convolution: %d pictures of %d channels of %dx%d, %d filters of %d: more than 2^31 floats",
                        s->batch, s->c, s->w, s->h, s->n, s->size);
    if ((int)act < 0 || act >= DPF_ACTIVATIONS || act == DPF_NORM_CHAN || act == DPF_NORM_CHAN_SOFTMAX ||
        act == DPF_NORM_CHAN_SOFTMAX_MAXVAL)
        return dpf_fail(err, DPF_ERR_UNSUPPORTED, "convolution: activation %d is none of one value", (int)act);
    d.out_h = (d.height + 2 * d.pad - d.size) / d.stride + 1;
    d.out_w = (d.width + 2 * d.pad - d.size) / d.stride + 1;
    d.in_pitch = d.height * d.width;
    d.out_pitch = d.out_h * d.out_w;
    d.weights = d.filters * (d.channels / d.groups) * d.size * d.size;
    *desc = d;
    return DPF_OK;
}

infer_lines infer_lines_of(dpf_activation act) {
    infer_lines lines = {.slope = 1, .cap = __builtin_inff(), .post = DPF_LINEAR_ACT};
    switch (act) {
    case DPF_LINEAR_ACT:
        break;
    case DPF_LEAKY:
        lines.slope = 0.1f;
        break;
    case DPF_RELIE:
        lines.slope = 0.01f;
        break;
    case DPF_RELU6:
        lines.cap = 6;
        lines.slope = 0;
        break;
    case DPF_RELU:
        lines.slope = 0;
        break;
    default:
        lines.post = act;
        break;
    }
    return lines;
}
