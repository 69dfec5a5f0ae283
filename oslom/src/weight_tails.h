// Tails of weights and of products of uniforms, and the scores made of them (METHOD.md 3.2).
#ifndef OSLOM_WEIGHT_TAILS_H
#define OSLOM_WEIGHT_TAILS_H

#include <algorithm>
#include <cmath>
#include <limits>

#include "tail_table.h"

namespace oslom {

// A score known up to an interval [score - half, score + half].
struct ScoreInterval {
  double score, half;
};

// P(sum of x unit exponentials > z): exact to x = 10, Gaussian beyond.
inline double weight_tail(double z, Stubs x) {
  if (x <= 0) return 1;
  if (x > 10)
    return std::max(smallest_score,
                    0.5 * std::erfc((z - static_cast<double>(x)) / std::sqrt(2 * static_cast<double>(x))));
  double sum = 1, term = 1;
  for (Stubs i = 1; i < x; ++i) sum += term *= z / static_cast<double>(i);
  return std::max(smallest_score, std::exp(-z) * sum);
}

// An interval that stays within 0 and 1.
inline ScoreInterval capped(double score, double half) { return {score, std::min(half, std::min(1 - score, score))}; }

// P(product of two uniforms <= p) = W(y,2) with y = -ln p.
inline double product_tail(double p) { return p * (1 - std::log(p)); }

// The same of four uniforms, W(y,4), for y = -ln p.
inline double product_of_four_tail(double p, double y) { return p * (1 + y + y * y / 2 + y * y * y / 6); }

// The inverses, for scores below 1. Tails are concave, so Newton's steps climb from a p that is too small.
inline double product_of_two_with(double score) {
  double p = score / (2 - std::log(score));
  for (int step = 0; step < 8; ++step) p += (score - product_tail(p)) / -std::log(p);
  return p;
}
inline double product_of_four_with(double score) {
  double p = 1e-4 * score * score, further = p;
  for (int step = 0; step < 100 && further > 1e-12 * p; ++step) {  // many near 1, where tails are flat
    const double y = -std::log(p);
    further = (score - product_of_four_tail(p, y)) / (y * y * y / 6);
    p += further;
  }
  return p;
}

// Conditioning on being one of B border vertices among Q outside ones, B estimated or counted.
inline double border_factor(Stubs outsiders, Stubs border) {
  return static_cast<double>(outsiders + 1) / static_cast<double>(border + 1);
}

// An alert density above all densities.
constexpr double never_safe = std::numeric_limits<double>::infinity();

// In the label pass the own module counts as this much better.
constexpr double own_bonus = 0.999;

}  // namespace oslom

#endif  // OSLOM_WEIGHT_TAILS_H
