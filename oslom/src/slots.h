// Slots, the places of vertices in a working set: the few of them with the smallest values, and blocks of them.
#ifndef OSLOM_SLOTS_H
#define OSLOM_SLOTS_H

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace oslom {

using Slot = std::int32_t;

// Instead of a number of a slot that is computed when it is asked for.
constexpr double unknown = -2;

// The slots with the smallest values, best first; filled by a scan. Equal values go by `order`, which stands for one of
// many orders of all slots.
template <int most>
struct Smallest {
  explicit Smallest(std::uint64_t order = 0) : order(order) {}

  bool full() const { return count == most; }
  bool refuses(Slot candidate, double value) const { return full() && !precedes(candidate, value, most - 1); }
  // What is above it is refused.
  double worst() const { return full() ? values[most - 1] : std::numeric_limits<double>::infinity(); }

  // The same, in whatever order they are offered.
  void offer(Slot candidate, double value) {
    if (refuses(candidate, value)) return;
    int place = count < most ? count++ : most - 1;
    for (; place > 0 && precedes(candidate, value, place - 1); --place)
      values[place] = values[place - 1], slot[place] = slot[place - 1];
    values[place] = value;
    slot[place] = candidate;
  }

  bool precedes(Slot candidate, double value, int place) const {
    return value < values[place] || (value == values[place] && rank(candidate) < rank(slot[place]));
  }
  std::uint64_t rank(Slot candidate) const {
    return (static_cast<std::uint64_t>(candidate) ^ order) * 0x9e3779b97f4a7c15ULL;
  }

  std::uint64_t order;
  int count = 0;
  std::array<Slot, most> slot;
  std::array<double, most> values;
};

using Few = Smallest<5>;

// Where there are many slots they are taken in blocks of about the square root of their number, and what is known of a
// block spares a look at its slots: a group of n vertices around a hub loses them one by one, each time with few
// changes.
template <typename Known>
class Blocks {
 public:
  // None if there are less than `many` slots.
  void begin(Slot num_slots, Slot many) {
    blocks_.clear();
    bits_ = 0;
    if (num_slots < many) return;
    while (std::int64_t{1} << 2 * bits_ < num_slots) ++bits_;
    blocks_.resize(number(num_slots - 1) + 1);
  }
  // There are more slots now.
  void grow(Slot num_slots) {
    if (!none()) blocks_.resize(number(num_slots - 1) + 1);
  }

  bool none() const { return blocks_.empty(); }
  std::size_t count() const { return blocks_.size(); }
  Known& operator[](std::size_t block) { return blocks_[block]; }
  Known& of(Slot slot) { return blocks_[number(slot)]; }

  // Block b has the slots first(b) .. first(b+1)-1, the last one as many as there are.
  std::size_t number(Slot slot) const { return static_cast<std::size_t>(slot) >> bits_; }
  Slot first(std::size_t block) const { return static_cast<Slot>(block << bits_); }

 private:
  std::vector<Known> blocks_;
  int bits_ = 0;  // of the number of a slot within its block
};

}  // namespace oslom

#endif  // OSLOM_SLOTS_H
