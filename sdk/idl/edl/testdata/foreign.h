/* Types that the valid files leave to C headers. */
#ifndef FOREIGN_H
#define FOREIGN_H

#include <stdint.h>
#include <sys/types.h>

#define LENGTH 5
#define FROM_HEADER 3

typedef struct foo { char c; long l; } foo_t;
typedef foo_t *foo_ptr;
typedef foo_t foo_arr[3];
typedef uint32_t sgx_status_t;
typedef uint16_t my_len;
typedef uint32_t oe_result_t;
typedef struct target_info { uint8_t bytes[512]; } sgx_target_info_t;
typedef struct report { uint8_t bytes[432]; } sgx_report_t;
typedef uint8_t *buffer_t;

#endif
