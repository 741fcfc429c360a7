/* SPDX-License-Identifier: MIT
 *
 * A small reader of our own pages and pictures, for tests.
 */
#ifndef TESTS_UNIT_MARKUP_H
#define TESTS_UNIT_MARKUP_H

/* Fails the test unless `text` is well-formed: every element closed in order,
 * attributes quoted and not repeated, entities known, valid UTF-8 without control
 * characters, and no "nan" or "inf" where a number stands. A DOCTYPE is allowed. */
void markup_check(const char *text);

/* Fails the test if, in any picture, two labels overlap or one leaves the picture. Slanted labels are skipped. */
void markup_check_labels(const char *text);

#endif
