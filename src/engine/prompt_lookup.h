// Guesses how an answer goes on by looking where its last tokens stood before, in the prompt or in the answer itself.
//
// An index of token pairs with chains of their earlier places, as LZ77 coders keep: 4 bytes a token and a table of at
// most twice as many entries, built as tokens come, never searched further than kMostPlaces. Of the places found the
// one whose tokens before it agree furthest is followed. Where it runs into the end it goes on with what it guessed.
// How often guesses come true is remembered by the length of the agreement, newer ones counting more, so that a
// sequence which does not repeat itself soon guesses no more than is worth the rows (speculation.h).
// Errors: none. Thread rule: one thread at a time. The source of the idea: prompt lookup decoding (A. Saxena, 2023).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace glia::engine {

class PromptLookup {
 public:
  static constexpr std::size_t kLeast = 2;  ///< tokens that must agree

  /// `most_tokens`: that the sequence can come to have. Nothing is allocated after that.
  explicit PromptLookup(std::size_t most_tokens);

  struct Guess {
    std::size_t count = 0;   ///< tokens written
    std::size_t agreed = 0;  ///< tokens before the place that are those before the end
  };
  /// `tokens`: all of the sequence; those that are new since the last call are taken into the index first.
  Guess guess(std::span<const std::int32_t> tokens, std::span<std::int32_t> out);

  /// Of a guess that agreed so far, and whose first `ahead` tokens came true: how likely the next does.
  double chance(std::size_t agreed, std::size_t ahead) const;
  /// Of `tried` guesses the first `right` came true.
  void learn(std::size_t agreed, std::size_t tried, std::size_t right);

 private:
  static constexpr std::size_t kMostPlaces = 16;
  static constexpr std::size_t kMostAgreed = 16;
  static constexpr std::size_t kClasses = 5;
  struct Record {
    double right = 0;
    double tried = 0;
  };

  static std::size_t class_of(std::size_t agreed);
  std::size_t bucket(std::int32_t first, std::int32_t second) const;
  void take_in(std::span<const std::int32_t> tokens);

  std::vector<std::int32_t> newest_;   // [buckets], the last place of a pair's second token; -1: none
  std::vector<std::int32_t> earlier_;  // [tokens], the place before of the same bucket
  std::array<Record, kClasses> records_;
};

}  // namespace glia::engine
