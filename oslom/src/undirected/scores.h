// The score of a vertex: how surprising its links to a group are (METHOD.md 3; paper,
// "Single cluster analysis").
//
// Unweighted: r = R(x+1) + step h(x), the discrete tail probability spread over an interval.
// Weighted: r is first conditioned on the vertex being a neighbour of the group, then combined with
// the probability W that x exponential weights sum to more than z:
//   score = P(product of two uniforms <= r W) = r W (1 - ln(r W)).
// Everything that is particular to undirected graphs is in this folder: Graph, Degree, Links (what a
// vertex shares with a group), GroupTotals, Outside (what a group shows to a vertex) and Scores.
#ifndef OSLOM_UNDIRECTED_SCORES_H
#define OSLOM_UNDIRECTED_SCORES_H

#include <algorithm>
#include <cmath>

#include "graph.h"
#include "random.h"
#include "weight_tails.h"

namespace oslom {

// A group as a vertex outside of it sees it.
struct Outside {
  Stubs outgoing;   // O: stubs leaving the group
  Stubs total;      // T: stubs of all outside vertices
  Stubs vertices;   // Q: number of outside vertices
  Stubs border;     // B: number of them with a link to the group

  // The same after a member has been taken out.
  Outside without(Degree k, const Links& links) const {
    return {outgoing + 2 * links.x - k, total + k, vertices + 1, border + 1};
  }
};

// What a group adds up to.
struct GroupTotals {
  Stubs degree_sum = 0, inside = 0;  // K, I

  // For every member of a group that is complete, or for members that join or leave one by one.
  void count(Degree k, const Links& links) { degree_sum += k, inside += links.x; }
  void add(Degree k, const Links& links) { degree_sum += k, inside += 2 * links.x; }
  void remove(Degree k, const Links& links) { degree_sum -= k, inside -= 2 * links.x; }

  bool operator==(const GroupTotals& other) const { return degree_sum == other.degree_sum && inside == other.inside; }

  Outside outside(const Graph& graph, Stubs size, Stubs border) const {
    return {degree_sum - inside, graph.total_stubs() - degree_sum, graph.num_vertices() - size, border};
  }
};

class Scores {
 public:
  Scores(bool weighted, Tails& tails) : weighted_(weighted), tails_(tails) {}

  bool weighted() const { return weighted_; }

  // The part of a score that depends on the links alone: how surprising their weights are. 1 in unweighted graphs.
  double weight_part(const Links& links) const { return weighted_ ? weight_tail(links.z, links.x) : 1; }

  // Keys order vertices as mid scores do, without the logarithm of weighted scores. `w` is the weight part of the
  // links; a key above `bound` may be replaced by a smaller one that is above it, too.
  double key(const Links& links, Degree k, double w, const Outside& outside, double bound = 2) const {
    const double floor =
        k > TailTable::most_stubs ? key_floor(links, k, w, outside) : expected_floor(links, k, w, outside);
    return floor > bound ? floor : key_from(tail(links, k, outside), w, outside);
  }

  // The same where no other vertex is asked about the same group.
  double single_key(const Links& links, Degree k, double w, const Outside& outside) const {
    return key_from(single_tail(links, k, outside), w, outside);
  }
  // The key is not below it; in a few multiplications.
  double key_floor(const Links& links, Degree k, double w, const Outside& outside) const {
    const double expected = expected_floor(links, k, w, outside);
    if (expected > 0 || tails_.memo.formulas().may_be_exact(k, outside.total))
      return std::max(expected, smallest_score);
    const double r = 0.49 * TailFormulas::hypergeometric_floor(links.x, k, outside.outgoing, outside.total);
    return std::max((weighted_ ? std::min(1.0, r * border_factor(outside.vertices, outside.border)) : r) * w,
                    smallest_score);
  }

  // A member is scored as if it were taken out.
  double member_key(const Links& links, Degree k, double w, const Outside& outside) const {
    return member_at_step(links, k, w, outside, 0.5);
  }
  double member_at_step(const Links& links, Degree k, double w, const Outside& outside, double step) const {
    const Outside without = outside.without(k, links);
    return key_from(single_tail(links, k, without), w, without, step);
  }
  double member_mid(const Links& links, Degree k, const Outside& outside) const {
    const Outside without = outside.without(k, links);
    return mid_from(single_tail(links, k, without), weight_part(links), without);
  }

  // While a group loses members its stubs O become fewer and T more, and the keys of outsiders fall with the density
  // O/T, but not without limit: of a tail R(y) at most y R(y)/O goes with one of the O stubs, and y R(y)/T comes with
  // one more of T, so that a tail falls no faster than the density to the power y. O is the least there was.
  static double density(const Outside& least, const Outside& outside) {
    return static_cast<double>(least.outgoing) / static_cast<double>(outside.total);
  }
  static void keep_least(Outside& least, const Outside& outside) {
    least.outgoing = std::min(least.outgoing, outside.outgoing);
  }

  // Outsider by outsider, the density down to which the key of one with so many links or less stays above `bound`;
  // infinite if none is known. `least_factor`: the border factor is never smaller.
  class SafeDensity {
   public:
    SafeDensity(const Scores& scores, const Outside& outside, double least_factor, double bound)
        : exact_from_(scores.tails_.memo.formulas().exact_from(outside.total)),
          outgoing_(static_cast<double>(outside.outgoing)), per_stub_(1 / static_cast<double>(outside.total)),
          per_bound_((scores.weighted_ ? least_factor / border_factor(outside.vertices, outside.border) : 1) / bound) {}

    double operator()(double key, const Links& links, Degree k) const {
      const double y = static_cast<double>(links.x + 1);
      const double root = std::sqrt(key * per_bound_ * (1 - 2 * y * y * per_stub_));
      if (k >= exact_from_ || !(root > 1)) return never_safe;
      // share^y >= exp(-fall), where fall = 4 (root-1)/(root+1) is at most the logarithm of the root's square
      const double share = y * (root + 1) / (y * (root + 1) + 4 * (root - 1));
      return (share * outgoing_ + (1 - share) * (y - 1)) * per_stub_;
    }

   private:
    Stubs exact_from_;
    double outgoing_, per_stub_, per_bound_;
  };

  // Member by member, a number such that no key, divided by its weight part, is above exp(-number).
  class MemberFall {
   public:
    MemberFall(const Scores& scores, const Outside& outside)
        : formulas_(scores.tails_.memo.formulas()), outside_(outside),
          log_factor_(scores.weighted_ ? std::log(border_factor(outside.vertices + 1, outside.border + 1)) : 0) {}

    double operator()(const Links& links, Degree k) const {
      const Outside without = outside_.without(k, links);
      const bool exact = formulas_.may_be_exact(k, without.total);
      return std::max(tail_fall(links.x, k, without.outgoing, without.total, exact) - log_factor_, 0.0);
    }

   private:
    const TailFormulas& formulas_;
    const Outside& outside_;
    double log_factor_;
  };

  // The key of a vertex with this score, and the score of one with this key.
  double key_of(double score) const { return weighted_ && score < 1 ? product_of_two_with(score) : score; }
  double score_of(double key) const { return weighted_ ? std::max(product_tail(key), smallest_score) : key; }

  // Grows with the score of an outside vertex at a given place of its interval.
  double at_step(const Links& links, Degree k, double w, const Outside& outside, double step) const {
    return key_from(tail(links, k, outside), w, outside, step);
  }
  double mid(const Links& links, Degree k, const Outside& outside) const {
    return mid_from(tail(links, k, outside), weight_part(links), outside);
  }

  // The interval for the border test. A tiny jitter orders equal vertices at random, anew each time.
  ScoreInterval test(const Links& links, Degree k, double w, const Outside& outside, Random& random) const {
    const Tail tail = this->tail(links, k, outside);
    const double half = (0.5 + 1e-6 * (random.uniform() - 0.5)) * tail.at;
    const double r = std::max(tail.above + half, smallest_score);
    if (weighted_) return weighted_test(r, half, w, outside);
    return capped(std::min(r, 1.0), half);
  }

  // For homeless vertices (METHOD.md 7.2): the better of topology and weights, topology not conditioned.
  double homeless(const Links& links, Degree k, const Outside& outside) const {
    const Tail tail = single_tail(links, k, outside);
    const double r = std::clamp(tail.above + 0.5 * tail.at, smallest_score, 1.0);
    return std::min(r, weight_part(links));
  }

  // For the label pass: a number that grows with the random score of a vertex for another module or
  // its own, with the border size only estimated; anything above `bound` if that is certain to be
  // exceeded. One use per state, so nothing is remembered.
  double label_key(const Links& links, Degree k, const Outside& group, bool own, double bound, Random& random) const {
    const Stubs x = links.x;
    const Stubs outgoing = own ? group.outgoing + 2 * x - k : group.outgoing;
    const Stubs total = group.total + (own ? k : 0);
    const double bonus = own ? own_bonus : 1;
    const double w = weight_part(links);
    if (0.49 * w > bound && below_expectation(x, k, outgoing, total)) return 2;
    const Stubs outsiders = group.vertices + (own ? 1 : 0);
    const double factor = weighted_ ? border_factor(outsiders, std::min(outsiders, outgoing / x + 1)) : 1;
    const auto key = [&](double r) {
      return weighted_ ? std::max(std::min(1.0, r * factor) * bonus, smallest_score) * w : r * bonus;
    };
    const double step = random.uniform();
    // Of many neighbours' modules few are near the best one, and a tail costs more than all the rest.
    if (key(0.98 * step * TailFormulas::hypergeometric_floor(x, k, outgoing, total)) > bound) return 2;
    return key(fresh_r(x, k, outgoing, total, step));
  }

  // 0 with more links than expected.
  static double expected_floor(const Links& links, Degree k, double w, const Outside& outside) {
    return below_expectation(links.x, k, outside.outgoing, outside.total) ? 0.49 * w : 0;
  }

  static double combine(double r, double w) {
    if (r <= smallest_score || w <= smallest_score) return smallest_score;
    return std::max(product_tail(r * w), smallest_score);
  }

 private:
  // Outside vertices share what the group shows; a member taken out sees a group of its own.
  Tail tail(const Links& links, Degree k, const Outside& outside) const {
    return tails_.outside(links.x, k, outside.outgoing, outside.total);
  }
  Tail single_tail(const Links& links, Degree k, const Outside& outside) const {
    return tails_.memo(links.x, k, outside.outgoing, outside.total);
  }

  double key_from(const Tail& tail, double w, const Outside& outside, double step = 0.5) const {
    return r_at_step(tail, outside, step) * w;
  }

  double mid_from(const Tail& tail, double w, const Outside& outside) const {
    const double r = r_at_step(tail, outside, 0.5);
    return weighted_ ? combine(r, w) : r;
  }

  // In weighted graphs conditioned on being in the border.
  double r_at_step(const Tail& tail, const Outside& outside, double step) const {
    const double r = std::max(tail.above + step * tail.at, smallest_score);
    return std::min(1.0, weighted_ ? r * border_factor(outside.vertices, outside.border) : r);
  }

  double fresh_r(Stubs x, Stubs k, Stubs outgoing, Stubs total, double step) const {
    const Tail tail = tails_.memo.formulas()(x, k, outgoing, total);
    return std::clamp(tail.above + step * tail.at, smallest_score, 1.0);
  }

  ScoreInterval weighted_test(double r, double half, double w, const Outside& outside) const {
    const double factor = border_factor(outside.vertices, outside.border);
    r *= factor;
    half *= factor;
    if (r > 1) r = 1, half = smallest_score;
    if (r <= smallest_score || w <= smallest_score) return {smallest_score, smallest_score};
    const double y = -std::log(r * w);
    return capped(std::max(r * w * (1 + y), smallest_score), half * w * y);
  }

  bool weighted_;
  Tails& tails_;
};

}  // namespace oslom

#endif  // OSLOM_UNDIRECTED_SCORES_H
