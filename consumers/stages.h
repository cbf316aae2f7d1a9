/* The stages of this folder, one descriptor each; main.c lists them in its table. */
#pragma once
#include "consumers/runtime/stage.h"

extern const struct stage admit_stage;
extern const struct stage deliver_stage;
extern const struct stage execute_stage;
extern const struct stage persist_stage;
extern const struct stage relay_stage;
