// multipart/form-data bodies, taken apart without copying what their parts hold (RFC 7578; RFC 2046, section 5.1).
//
// Ownership: data of a part points into the body that was given. Thread rule: pure functions.
// Errors: glia::Error(incomplete_request) for a body that ends early, (invalid_input) for anything else that is no form
// within the limits; the detail is a sentence.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace glia::http {

struct FormPart {
  std::string name;                     ///< UTF-8
  std::optional<std::string> filename;  ///< UTF-8, as the client wrote it: never to be used as a path
  std::string content_type;             ///< lower-cased type with its parameters; empty where none is given
  std::string_view data;
};

struct FormLimits {
  std::size_t max_parts = 128;
  std::size_t max_part_header_bytes = std::size_t{8} << 10;
};

/// The boundary in the content type of a form. None: it is no multipart/form-data, or its boundary is missing,
/// malformed or longer than 70 bytes.
std::optional<std::string> form_boundary(std::string_view content_type);

std::vector<FormPart> parse_form(std::string_view body, std::string_view boundary, const FormLimits& limits = {});

}  // namespace glia::http
