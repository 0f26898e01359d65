// The engine's models by what they do: one that writes text, or one that reads texts and gives vectors or scores.
#pragma once

#include <filesystem>
#include <memory>
#include <variant>

#include "catalog/catalog.h"
#include "engine/engine.h"
#include "engine/text_encoder.h"

namespace glia::tasks {

enum class ModelKind { chat, encoder };

using LoadedModel = std::variant<std::shared_ptr<engine::ChatModel>, std::shared_ptr<engine::TextEncoder>>;

/// What an id's weights must be.
inline ModelKind kind_of(const catalog::ModelEntry& entry) {
  return entry.task == "Text Generation" ? ModelKind::chat : ModelKind::encoder;
}

/// Blocks. Errors: as engine::Engine::acquire.
inline LoadedModel acquire(engine::Engine& engine, ModelKind kind, const std::filesystem::path& path,
                           const engine::AcquireOptions& options = {}) {
  if (kind == ModelKind::encoder) return engine.acquire_encoder(path, options);
  return engine.acquire(path, options);
}

/// Holds null where it is not in memory.
inline LoadedModel find(engine::Engine& engine, ModelKind kind, const std::filesystem::path& path) {
  if (kind == ModelKind::encoder) return engine.find_encoder(path);
  return engine.find(path);
}

inline bool holds(const LoadedModel& model) {
  return std::visit([](const auto& held) { return held != nullptr; }, model);
}

}  // namespace glia::tasks
