/* The errors of the HTTP API (errors.def): what a client reads as {"error": code, "message": ...}.
 */
#pragma once

enum api_error {
#define API_ERROR(code, ...) API_ERROR_##code,
#include "schemas/errors.def"
#undef API_ERROR
    API_ERROR_COUNT
};

const char *api_error_code(enum api_error error);    /* "invalid_field" */
int api_error_status(enum api_error error);          /* HTTP status */
const char *api_error_message(enum api_error error); /* where no better text is known */
