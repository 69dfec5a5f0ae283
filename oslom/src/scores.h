// The score of a vertex: how surprising its links to a group are (sections 2.3-2.5 of the
// specification; paper, "Single cluster analysis").
//
// Unweighted: r = R(x+1) + step h(x), the discrete tail probability spread over an interval.
// Weighted: r is first conditioned on the vertex being a neighbour of the group, then combined with
// the probability W that x exponential weights sum to more than z:
//   score = P(product of two uniforms <= r W) = r W (1 - ln(r W)).
// Everything that is particular to undirected graphs is in this file and in tails.h: Links (what a
// vertex shares with a group), Outside (what a group shows to a vertex) and Scores.
#ifndef OSLOM_SCORES_H
#define OSLOM_SCORES_H

#include <algorithm>
#include <cmath>

#include "graph.h"
#include "random.h"
#include "tails.h"

namespace oslom {

// The links of one vertex to one group.
struct Links {
  Stubs x = 0;   // stubs
  double z = 0;  // sum of normalised weights, 0 in unweighted graphs
};

// A group as a vertex outside of it sees it.
struct Outside {
  Stubs outgoing;   // O: stubs leaving the group
  Stubs total;      // T: stubs of all outside vertices
  Stubs vertices;   // Q: number of outside vertices
  Stubs border;     // B: number of them with a link to the group

  // The same after a member of degree k with x stubs inside has been taken out.
  Outside without(Stubs k, Stubs x) const {
    return {outgoing + 2 * x - k, total + k, vertices + 1, border + 1};
  }
};

// A score known up to an interval [score - half, score + half].
struct ScoreInterval {
  double score, half;
};

// P(sum of x unit exponentials > z): exact to x = 10, Gaussian beyond.
inline double weight_tail(double z, Stubs x) {
  if (x <= 0) return 1;
  if (x > 10) return std::max(smallest_score, 0.5 * std::erfc((z - static_cast<double>(x)) /
                                                              std::sqrt(2 * static_cast<double>(x))));
  double sum = 1, term = 1;
  for (Stubs i = 1; i < x; ++i) sum += term *= z / static_cast<double>(i);
  return std::max(smallest_score, std::exp(-z) * sum);
}

// P(product of two uniforms <= p) = W(y,2) with y = -ln p.
inline double product_tail(double p) { return p * (1 - std::log(p)); }

// Conditioning on being one of B border vertices among Q outside ones, B estimated or counted.
inline double border_factor(Stubs outsiders, Stubs border) {
  return static_cast<double>(outsiders + 1) / static_cast<double>(border + 1);
}

class Scores {
 public:
  Scores(bool weighted, TailMemo& tails) : weighted_(weighted), tails_(tails) {}

  bool weighted() const { return weighted_; }

  // Keys order vertices as mid scores do, without the logarithm of weighted scores.
  double key(const Links& links, Stubs k, const Outside& outside) const {
    const Tail tail = tails_(links.x, k, outside.outgoing, outside.total);
    const double r = std::max(tail.above + 0.5 * tail.at, smallest_score);
    if (!weighted_) return std::min(r, 1.0);
    return std::min(1.0, r * border_factor(outside.vertices, outside.border)) * weight_tail(links.z, links.x);
  }

  // The key of a vertex with this score.
  double key_of(double score) const {
    if (!weighted_ || score >= 1) return score;
    double product = score / (2 - std::log(score));  // too small; Newton's steps on a concave function climb
    for (int step = 0; step < 8; ++step) product += (score - product_tail(product)) / -std::log(product);
    return product;
  }

  // The score of an outside vertex at a given place of its interval; 1/2 is the mid score.
  double at_step(const Links& links, Stubs k, const Outside& outside, double step) const {
    const Tail tail = tails_(links.x, k, outside.outgoing, outside.total);
    const double r = std::max(tail.above + step * tail.at, smallest_score);
    if (!weighted_) return std::min(r, 1.0);
    return combine(std::min(1.0, r * border_factor(outside.vertices, outside.border)),
                   weight_tail(links.z, links.x));
  }

  double mid(const Links& links, Stubs k, const Outside& outside) const {
    return at_step(links, k, outside, 0.5);
  }

  // A member is scored as if it were taken out.
  double member_at_step(const Links& links, Stubs k, const Outside& outside, double step) const {
    return at_step(links, k, outside.without(k, links.x), step);
  }
  double member_mid(const Links& links, Stubs k, const Outside& outside) const {
    return member_at_step(links, k, outside, 0.5);
  }

  // The interval for the border test. A tiny jitter orders equal vertices at random, anew each time.
  ScoreInterval test(const Links& links, Stubs k, const Outside& outside, Random& random) const {
    const Tail tail = tails_(links.x, k, outside.outgoing, outside.total);
    const double half = (0.5 + 1e-6 * (random.uniform() - 0.5)) * tail.at;
    const double r = std::max(tail.above + half, smallest_score);
    if (weighted_) return weighted_test(r, half, links, outside);
    return capped(std::min(r, 1.0), half);
  }

  // For homeless vertices (5.7): the better of topology and weights, topology not conditioned.
  double homeless(const Links& links, Stubs k, const Outside& outside) const {
    const Tail tail = tails_(links.x, k, outside.outgoing, outside.total);
    const double r = std::clamp(tail.above + 0.5 * tail.at, smallest_score, 1.0);
    return weighted_ ? std::min(r, weight_tail(links.z, links.x)) : r;
  }

  // For the label pass: one use per state, so nothing is remembered; r and W as in at_step.
  double fresh_r(Stubs x, Stubs k, Stubs outgoing, Stubs total, double step) const {
    const Tail tail = tails_.formulas()(x, k, outgoing, total);
    return std::clamp(tail.above + step * tail.at, smallest_score, 1.0);
  }

  static double combine(double r, double w) {
    if (r <= smallest_score || w <= smallest_score) return smallest_score;
    return std::max(product_tail(r * w), smallest_score);
  }

  // Fewer links than expected: then R(x+1) >= 1/2, as the median of X is not below floor(O k / T).
  static bool below_expectation(Stubs x, Stubs k, Stubs outgoing, Stubs total) {
    return static_cast<double>(x + 1) * static_cast<double>(total) <= static_cast<double>(outgoing) * static_cast<double>(k);
  }

 private:
  static ScoreInterval capped(double score, double half) {
    return {score, std::min(half, std::min(1 - score, score))};
  }

  ScoreInterval weighted_test(double r, double half, const Links& links, const Outside& outside) const {
    const double factor = border_factor(outside.vertices, outside.border);
    r *= factor;
    half *= factor;
    if (r > 1) r = 1, half = smallest_score;
    const double w = weight_tail(links.z, links.x);
    if (r <= smallest_score || w <= smallest_score) return {smallest_score, smallest_score};
    const double y = -std::log(r * w);
    return capped(std::max(r * w * (1 + y), smallest_score), half * w * y);
  }

  bool weighted_;
  TailMemo& tails_;
};

}  // namespace oslom

#endif  // OSLOM_SCORES_H
