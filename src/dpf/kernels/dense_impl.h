/* SPDX-License-Identifier: MIT
 *
 * What a back end of dense.h provides; private to this folder.
 */
#ifndef DPF_KERNELS_DENSE_IMPL_H
#define DPF_KERNELS_DENSE_IMPL_H

#include "dense.h"

typedef struct dense_backend {
    void (*destroy)(void *state);
    dpf_status (*bind)(void **call, void *state, const float *in, float *out, float *scratch, dpf_error *err);
    void (*unbind)(void *call);
    dpf_status (*run)(void *call);
} dense_backend;

struct dense {
    const dense_backend *backend;
    void *state;
    dense_info info;
    char name[64];      /* what info.name points at */
    dpf_activation act; /* still to be applied to the output; DPF_LINEAR_ACT: none */
    size_t out_floats;
    int threads;
};

struct dense_call {
    const dense *dense;
    void *call;
    float *out;
};

/* The slope where max(x, slope * x) is the activation; -1 where there is none. */
float dense_slope(dpf_activation act);

/* The call of a back end of our own; `state` is what dense.state is. */
typedef struct dense_arrays {
    const void *state;
    const float *in;
    float *out, *scratch;
} dense_arrays;

/* dense_backend.bind for them; unbind is free. */
dpf_status dense_arrays_bind(void **call, void *state, const float *in, float *out, float *scratch, dpf_error *err);

/* Shares [0, jobs) out among the threads, to each one piece and `scratch` floats of the call's. */
void dense_share(const dense_arrays *call, int threads, size_t jobs, size_t scratch,
                 void (*run)(const dense_arrays *call, size_t first, size_t last, float *scratch));

/* Each fills backend, state, info and act of *d. `out` is the output's height and width. kind:
 * DENSE_DIRECT or one of Winograd's, for oneDNN. */
dpf_status dense_blas_create(dense *d, const dense_shape *s, const int out[2], dpf_activation act, const float *weights,
                             const float *bias, dpf_error *err);
dpf_status dense_few_create(dense *d, const dense_shape *s, const int out[2], dpf_activation act, const float *weights,
                            const float *bias, dpf_error *err);
dpf_status dense_wino_create(dense *d, const dense_shape *s, const int out[2], dpf_activation act, const float *weights,
                             const float *bias, dpf_error *err);
#ifndef DPF_NO_DNNL
dpf_status dense_dnnl_create(dense *d, const dense_shape *s, const int out[2], dpf_activation act, const float *weights,
                             const float *bias, dense_kind kind, dpf_error *err);
dpf_status dense_dnnl_relayout(dense *d, const int shape[4], size_t lanes_in, size_t pitch_in, size_t lanes_out,
                               dpf_error *err);
#endif

#endif
