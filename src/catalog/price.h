// What a model costs: the service's price by unit, and the call that Glia calls typical of a task form.
// Thread rule: values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace glia::catalog {

/// The service's price: $0.011 per 1,000 neurons.
inline constexpr double kDollarsPerNeuron = 0.011 / 1000;

/// Neurons per million tokens.
struct TokenPrice {
  double input = 0;
  double output = 0;
  std::optional<double> cached_input = {};  ///< none: cached tokens cost what others cost

  /// Neurons of a call, rounded to the ledger's unit of 1e-6 neurons so that sums of calls are exact.
  /// `cached_tokens`: those of the input tokens that needed no computing.
  double neurons(std::int64_t input_tokens, std::int64_t output_tokens, std::int64_t cached_tokens = 0) const;
};

/// How the service counts something (catalog/tasks.json).
struct Unit {
  std::string key;     ///< "input_per_m_tokens", as in models.json
  std::string words;   ///< "per M input tokens", the service's
  std::string counts;  ///< "input_tokens", the quantity
  double per = 1;      ///< of that quantity
};

struct UnitPrice {
  Unit unit;
  double neurons = 0;
};

/// One call of a task form that stands for many.
struct Typical {
  std::string words;                                  ///< "500 tokens in, 250 out"
  std::map<std::string, double, std::less<>> counts;  ///< by Unit::counts
};

/// Neurons of a typical call, rounded to 1e-6; 0 for a model without a price.
double typical_neurons(const std::vector<UnitPrice>& prices, const Typical& typical);

/// Dollars as the service prints them: to a tenth of a cent, below two cents three digits, below a tenth of one four.
double published_dollars(double neurons);

}  // namespace glia::catalog
