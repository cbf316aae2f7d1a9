/* The table of API errors as data. */
#include "schemas/errors.h"
#include "lib/base/strict.h"

static const struct {
    const char *code;
    int status;
    const char *message;
} table[API_ERROR_COUNT] = {
#define API_ERROR(code, status, message) [API_ERROR_##code] = {#code, status, message},
#include "schemas/errors.def"
#undef API_ERROR
};

const char *api_error_code(enum api_error error)
{
    CHECK((unsigned)error < API_ERROR_COUNT);
    return table[error].code;
}

int api_error_status(enum api_error error)
{
    CHECK((unsigned)error < API_ERROR_COUNT);
    return table[error].status;
}

const char *api_error_message(enum api_error error)
{
    CHECK((unsigned)error < API_ERROR_COUNT);
    return table[error].message;
}
