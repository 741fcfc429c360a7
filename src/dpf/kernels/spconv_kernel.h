/* SPDX-License-Identifier: MIT
 *
 * The tile kernels of spconv, written once and compiled for each instruction set: the
 * including file brings the vectors of simd.h and defines
 *   SPK_STORE_LANES(p, bits, v)  perhaps: those lanes of v to p, nothing else is touched
 *   SPK_FOUR(name, p), SPK_SPREAD(name, p, i)  perhaps: the first loads four floats, the second fills
 *                     a vector with number i of them
 *   SPK_DOWN(a, behind)  perhaps: a a lane down, the first lane of `behind` comes in
 *   SPK_TABLE         name of the table to define
 *   SPK_LARGE         1: enough registers for tiles of up to 24 vectors, 0: up to 12
 * The loops over a tile have constant bounds and must be unrolled completely,
 * otherwise the accumulators end up in memory and the kernel is 10 times slower.
 *
 * A tile kernel assumes of its job: `in + distance` is followed by T vectors of floats
 * for each nonzero, wherever they come from (pixels of a plane here; the pictures of a
 * batch would do as well); fastest when those are aligned to 32 bytes at least. Rows may
 * have no nonzeros. `partial` has T vectors a filter, unless first and last are both set.
 */
#include <math.h>
#include <string.h>

#include "spconv_internal.h"

typedef float spk_mem4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef float spk_mem8 __attribute__((vector_size(32), aligned(4), may_alias));

#define SPK_UNROLL _Pragma("GCC unroll 32")

/* Copies count floats and touches nothing else; short rows overlap themselves. */
VEC_INLINE void spk_copy_floats(float *to, const float *from, size_t count) {
    size_t i = 0;
    if (count >= VEC_FLOATS) {
        for (; i + VEC_FLOATS <= count; i += VEC_FLOATS)
            vec_store(to + i, vec_load(from + i));
        if (i < count)
            vec_store(to + count - VEC_FLOATS, vec_load(from + count - VEC_FLOATS));
        return;
    }
    if (VEC_FLOATS > 8 && count >= 8) {
        spk_mem8 a = *(const spk_mem8 *)from, b = *(const spk_mem8 *)(from + count - 8);
        *(spk_mem8 *)to = a;
        *(spk_mem8 *)(to + count - 8) = b;
        return;
    }
    if (VEC_FLOATS > 4 && count >= 4) {
        spk_mem4 a = *(const spk_mem4 *)from, b = *(const spk_mem4 *)(from + count - 4);
        *(spk_mem4 *)to = a;
        *(spk_mem4 *)(to + count - 4) = b;
        return;
    }
    for (; i < count; i++)
        to[i] = from[i];
}

#include "spconv_planes.h"

/* exp to about 2 units in the last place; saturates at the ends of the range. */
VEC_INLINE vec spk_exp(vec x) {
    const vec high = vec_set(88.0f), low = vec_set(-87.0f);
    x = vec_select(x > high, high, x);
    x = vec_select(x < low, low, x);
    const vec magic = vec_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    vec n = VEC_FMA(x, vec_set(1.44269504f), magic);
    vec_mask power = (vec_mask)n << 23;
    n -= magic;
    vec r = VEC_FMA(n, vec_set(-0.693359375f), x);
    r = VEC_FMA(n, vec_set(2.12194440e-4f), r);
    vec p = vec_set(1.9875691500e-4f);
    p = VEC_FMA(p, r, vec_set(1.3981999507e-3f));
    p = VEC_FMA(p, r, vec_set(8.3334519073e-3f));
    p = VEC_FMA(p, r, vec_set(4.1665795894e-2f));
    p = VEC_FMA(p, r, vec_set(1.6666665459e-1f));
    p = VEC_FMA(p, r, vec_set(5.0000001201e-1f));
    p = VEC_FMA(p, r * r, r) + vec_set(1.0f);
    return (vec)((vec_mask)p + power);
}

VEC_INLINE vec spk_act_smooth(dpf_activation act, vec x) {
    const vec one = vec_set(1.0f), two = vec_set(2.0f);
    switch (act) {
    case DPF_LOGISTIC_ACT:
        return one / (one + spk_exp(-x));
    case DPF_SWISH:
        return x / (one + spk_exp(-x));
    case DPF_LOGGY:
        return two / (one + spk_exp(-x)) - one;
    case DPF_TANH:
        return one - two / (spk_exp(x + x) + one);
    case DPF_MISH: {
        /* tanh(log(1 + e)) = (e*e + 2e) / (e*e + 2e + 2); above 20 it is 1 in single precision */
        vec e = spk_exp(vec_select(x > vec_set(20.0f), vec_set(20.0f), x));
        vec t = e * (e + two);
        return x * (t / (t + two));
    }
    case DPF_GELU: {
        vec u = x * VEC_FMA(x * x, vec_set(0.035677f), vec_set(0.797885f));
        return x - x / (spk_exp(u + u) + one);
    }
    case DPF_ELU:
        return vec_select(x >= (vec){0}, x, spk_exp(x) - one);
    case DPF_SELU:
        return vec_set(1.0507f) * vec_select(x >= (vec){0}, x, vec_set(1.6732f) * (spk_exp(x) - one));
    case DPF_HARDSWISH: {
        vec t = x + vec_set(3.0f);
        t = vec_select(t > (vec){0}, t, (vec){0});
        t = vec_select(t < vec_set(6.0f), t, vec_set(6.0f));
        return x * t * vec_set(1.0f / 6.0f);
    }
    default:
        break;
    }
    for (size_t i = 0; i < VEC_FLOATS; i++)
        x[i] = dpf_activate(x[i], act);
    return x;
}

static void spk_activate(dpf_activation act, float *x, size_t count) {
    for (size_t i = 0; i < count; i += VEC_FLOATS)
        vec_store(x + i, spk_act_smooth(act, vec_load(x + i)));
}

/* The maxima of 2 x 2 floats of two rows. Reads up to a vector behind the rows. */
VEC_INLINE void spk_pool_rows(float *to, const float *upper, const float *lower, size_t count) {
    float few[VEC_FLOATS];
    for (size_t x = 0; x < count; x += VEC_FLOATS) {
        const size_t at = 2 * x, next = 2 * (count - x) > VEC_FLOATS ? at + VEC_FLOATS : at;
        const vec a = VEC_MAX(vec_load(upper + at), vec_load(lower + at));
        const vec b = VEC_MAX(vec_load(upper + next), vec_load(lower + next));
        const vec most = VEC_MAX(VEC_EVEN(a, b), VEC_ODD(a, b));
        if (count - x >= VEC_FLOATS) {
            vec_store(to + x, most);
            continue;
        }
        vec_store(few, most);
        spk_copy_floats(to + x, few, count - x);
    }
}

/* A finished tile that could not be stored in one piece; a vector of zeros follows. */
static void spk_scatter(const spk_job *job, size_t filter, float *tile, size_t count) {
    if (job->post != DPF_LINEAR_ACT)
        spk_activate(job->post, tile, count);
    float *out = job->out + filter * job->out_pitch;
    for (size_t s = 0; s < job->segment_count && job->pool; s++) {
        const float *upper = tile + job->segments[s].from;
        spk_pool_rows(out + job->segments[s].to, upper, upper + job->pool, job->segments[s].count);
    }
    if (job->pool)
        return;
    for (size_t s = 0; s < job->segment_count; s++)
        spk_copy_floats(out + job->segments[s].to, tile + job->segments[s].from, job->segments[s].count);
}

#ifndef SPK_SPREAD
#define SPK_FOUR(name, p)
#define SPK_SPREAD(name, p, i) vec_set((p)[i])
#endif

#ifndef SPK_DOWN
#define SPK_CAN_SHIFT 0
#define SPK_DOWN(a, behind) ((void)(behind), (a))
#else
#define SPK_CAN_SHIFT 1
#endif

#ifdef SPK_STORE_LANES
#define SPK_BY_PLACES(job) ((job)->place)
#else
#define SPK_BY_PLACES(job) 0
#define SPK_STORE_LANES(p, bits, v) ((void)(p))
#define SPK_NO_LANES
#endif

/* One nonzero, T vectors: p is where its tap begins. */
#define SPK_ADD(sum, p, value)                                                                                         \
    do {                                                                                                               \
        const vec spk_weight = (value);                                                                                \
        const float *spk_from = (p);                                                                                   \
        SPK_UNROLL for (int t = 0; t < T; t++)(sum)[t] =                                                               \
            VEC_FMA(spk_weight, vec_load(spk_from + t * VEC_FLOATS), (sum)[t]);                                        \
    } while (0)

/* Four distances in one load. */
VEC_INLINE uint64_t spk_four(const uint16_t *distance) {
    uint64_t four;
    memcpy(&four, distance, sizeof four);
    return four;
}

/* Where the tap begins that number i of four distances leads to. */
VEC_INLINE const float *spk_tap(const float *in, size_t unit, uint64_t four, int i) {
    const int at = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 3 - i : i;
    return (const float *)(const void *)((const char *)in + (uint16_t)(four >> 16 * at) * unit);
}

/* Rows of S vectors, which is a constant: addresses that are loaded would take as long as two nonzeros. */
VEC_INLINE void spk_store_rows(const spk_job *job, float *to, const vec *sum, const int T, const int S) {
    const size_t step = job->row_step;
    const int last = job->row_last;
    if (last == VEC_FLOATS) {
        SPK_UNROLL for (int t = 0; t < T; t++) vec_store(to + (size_t)(t / S) * step + t % S * VEC_FLOATS, sum[t]);
        return;
    }
    SPK_UNROLL for (int t = 0; t < T; t++) {
        float *at = to + (size_t)(t / S) * step + t % S * VEC_FLOATS;
        if (t % S < S - 1)
            vec_store(at, sum[t]);
        else
            VEC_STORE_FIRST(at, sum[t], last);
    }
}

/* The same, of each 2 x 2 the largest. */
VEC_INLINE void spk_store_pooled(const spk_job *job, float *to, const vec *sum, const int T, const int S) {
    SPK_UNROLL for (int t = 0; t + S < T; t++) {
        const int x = t % S, next = x + 1 < S ? t + 1 : t;
        if (t / S % 2 || x % 2)
            continue;
        float *at = to + (size_t)(t / S / 2) * job->row_step + x / 2 * VEC_FLOATS;
        const vec a = VEC_MAX(sum[t], sum[t + S]), b = VEC_MAX(sum[next], sum[next + S]);
        const vec most = VEC_MAX(VEC_EVEN(a, b), VEC_ODD(a, b));
        if (x + 2 < S)
            vec_store(at, most);
        else
            VEC_STORE_FIRST(at, most, job->row_last);
    }
}

#define SPK_ROWS(S)                                                                                                    \
    case (S):                                                                                                          \
        if (T % (2 * (S)) == 0 && job->pool)                                                                           \
            spk_store_pooled(job, to, sum, T, S);                                                                      \
        else if (T % (S) == 0)                                                                                         \
            spk_store_rows(job, to, sum, T, S);                                                                        \
        break;

VEC_INLINE void spk_store_tile(const spk_job *job, float *to, const vec *sum, const int T) {
    switch (job->row) {
        SPK_ROWS(1)
        SPK_ROWS(2)
        SPK_ROWS(3)
        SPK_ROWS(4)
        SPK_ROWS(5)
        SPK_ROWS(6)
        SPK_ROWS(7)
        SPK_ROWS(8)
        SPK_ROWS(9)
        SPK_ROWS(10)
        SPK_ROWS(11)
        SPK_ROWS(12)
    default:
        spk_store_rows(job, to, sum, T, T);
    }
}

/* The kernel for a tile of T vectors. With few vectors one chain of additions per
 * vector would wait for itself, so W nonzeros go at once into W sets of sums.
 * What limits it are loads, so four nonzeros share one for their distances and one for their weights; and distances
 * are loaded four nonzeros ahead, since loads are begun in the order of the program: a vector's would wait for its
 * address, and all behind it with it. `between` says to the compiler that a job is neither first nor last and shifts
 * nothing: with few nonzeros a filter, what is left out then is felt. */
VEC_INLINE void spk_run_tile(const spk_job *job, const int T, const int W, const int between) {
    const int moves = SPK_CAN_SHIFT && !between && job->shifts;
    const uint16_t *distance = job->distances;
    const size_t unit = job->unit;
    const float *value = job->values, *in = job->in;
    const uint32_t *count = job->counts;
    uint64_t next = spk_four(distance);
    float spill[(SPK_MAX_TILE + 1) * VEC_FLOATS] __attribute__((aligned(64)));
    vec_store(spill + T * VEC_FLOATS, (vec){0});
    for (size_t i = 0; i < job->row_count; i++) {
        const size_t filter = job->filters[i];
        float *partial = job->partial + filter * (size_t)T * VEC_FLOATS;
        vec sum[4][SPK_MAX_TILE];
        if (moves || (job->first && !between)) { /* sums of earlier blocks have moved already and are added later */
            const vec start = vec_set(job->first ? job->bias[filter] : 0);
            SPK_UNROLL for (int t = 0; t < T; t++) sum[0][t] = start;
        } else {
            SPK_UNROLL for (int t = 0; t < T; t++) sum[0][t] = vec_load(partial + t * VEC_FLOATS);
        }
        SPK_UNROLL for (int w = 1; w < W; w++) SPK_UNROLL for (int t = 0; t < T; t++) sum[w][t] = (vec){0};
        for (int shift = 0;; shift++) {
            size_t n = *count++;
            for (; n >= 4; n -= 4) {
                const uint64_t four = next;
                next = spk_four(distance + 4);
                SPK_FOUR(weights, value);
                SPK_ADD(sum[0], spk_tap(in, unit, four, 0), SPK_SPREAD(weights, value, 0));
                SPK_ADD(sum[1 % W], spk_tap(in, unit, four, 1), SPK_SPREAD(weights, value, 1));
                SPK_ADD(sum[2 % W], spk_tap(in, unit, four, 2), SPK_SPREAD(weights, value, 2));
                SPK_ADD(sum[3 % W], spk_tap(in, unit, four, 3), SPK_SPREAD(weights, value, 3));
                distance += 4;
                value += 4;
            }
            if (n) {
                const uint64_t four = next;
                distance += n;
                next = spk_four(distance);
                if (n & 2) {
                    SPK_ADD(sum[0], spk_tap(in, unit, four, 0), vec_set(value[0]));
                    SPK_ADD(sum[1 % W], spk_tap(in, unit, four, 1), vec_set(value[1]));
                }
                if (n & 1)
                    SPK_ADD(sum[2 % W], spk_tap(in, unit, four, (int)n - 1), vec_set(value[n - 1]));
                value += n;
            }
            SPK_UNROLL for (int w = 1; w < W; w++) SPK_UNROLL for (int t = 0; t < T; t++) sum[0][t] += sum[w][t];
            if (!moves || shift == job->shifts)
                break;
            SPK_UNROLL for (int w = 1; w < W; w++) SPK_UNROLL for (int t = 0; t < T; t++) sum[w][t] = (vec){0};
            SPK_UNROLL for (int t = 0; t < T; t++) sum[0][t] =
                SPK_DOWN(sum[0][t], t + 1 < T ? sum[0][t + 1] : (vec){0});
        }
        if (moves && !job->first)
            SPK_UNROLL for (int t = 0; t < T; t++) sum[0][t] += vec_load(partial + t * VEC_FLOATS);
        if (between || !job->last) {
            SPK_UNROLL for (int t = 0; t < T; t++) vec_store(partial + t * VEC_FLOATS, sum[0][t]);
            continue;
        }
        const vec slope = vec_set(job->slope), cap = vec_set(job->cap);
        if (job->slope > 0)
            SPK_UNROLL for (int t = 0; t < T; t++) sum[0][t] = VEC_MAX(slope * sum[0][t], sum[0][t]);
        else
            SPK_UNROLL for (int t = 0; t < T; t++) sum[0][t] = VEC_MAX((vec){0}, sum[0][t]);
        if (job->cap < INFINITY)
            SPK_UNROLL for (int t = 0; t < T; t++) sum[0][t] = VEC_MIN(cap, sum[0][t]);
        float *out = job->out + filter * job->out_pitch;
        if (job->row) {
            spk_store_tile(job, out + job->segments->to, sum[0], T);
            continue;
        }
        if (SPK_BY_PLACES(job)) {
            SPK_UNROLL for (int t = 0; t < T; t++)
                SPK_STORE_LANES(out + job->place[t].to, job->place[t].lanes, sum[0][t]);
            if (job->places > 1)
                SPK_UNROLL for (int t = 0; t < T; t++)
                    SPK_STORE_LANES(out + job->place[T + t].to, job->place[T + t].lanes, sum[0][t]);
            continue;
        }
        SPK_UNROLL for (int t = 0; t < T; t++) vec_store(spill + t * VEC_FLOATS, sum[0][t]);
        spk_scatter(job, filter, spill, (size_t)T * VEC_FLOATS);
    }
}

#define SPK_KERNEL(T, W)                                                                                               \
    static void spk_tile_##T(const spk_job *job) {                                                                     \
        if (job->first || job->last || job->shifts)                                                                    \
            spk_run_tile(job, T, W, 0);                                                                                \
        else                                                                                                           \
            spk_run_tile(job, T, W, 1);                                                                                \
    }

SPK_KERNEL(1, 4)
SPK_KERNEL(2, 4)
SPK_KERNEL(3, 4)
SPK_KERNEL(4, 2)
SPK_KERNEL(5, 2)
#if SPK_LARGE
SPK_KERNEL(6, 2)
SPK_KERNEL(7, 2)
#else
SPK_KERNEL(6, 1)
SPK_KERNEL(7, 1)
#endif
SPK_KERNEL(8, 1)
SPK_KERNEL(9, 1)
SPK_KERNEL(10, 1)
SPK_KERNEL(11, 1)
SPK_KERNEL(12, 1)
#if SPK_LARGE
SPK_KERNEL(13, 1)
SPK_KERNEL(14, 1)
SPK_KERNEL(15, 1)
SPK_KERNEL(16, 1)
SPK_KERNEL(17, 1)
SPK_KERNEL(18, 1)
SPK_KERNEL(19, 1)
SPK_KERNEL(20, 1)
SPK_KERNEL(21, 1)
SPK_KERNEL(22, 1)
SPK_KERNEL(23, 1)
SPK_KERNEL(24, 1)
#endif

const spk_table SPK_TABLE = {
    .vector = VEC_FLOATS,
#if SPK_LARGE
    .max_tile = 24,
#else
    .max_tile = 12,
#endif
    .kernels = {NULL,        spk_tile_1,  spk_tile_2,  spk_tile_3,  spk_tile_4,  spk_tile_5,  spk_tile_6,
                spk_tile_7,  spk_tile_8,  spk_tile_9,  spk_tile_10, spk_tile_11, spk_tile_12,
#if SPK_LARGE
                spk_tile_13, spk_tile_14, spk_tile_15, spk_tile_16, spk_tile_17, spk_tile_18, spk_tile_19,
                spk_tile_20, spk_tile_21, spk_tile_22, spk_tile_23, spk_tile_24
#endif
    },
#ifndef SPK_NO_LANES
    .store_lanes = 1,
#endif
    .pack = spk_pack_block,
    .activate = spk_activate,
    .shifts = SPK_CAN_SHIFT,
};
