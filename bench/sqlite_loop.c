/* The floor under every read: the statement of a read by id, in a loop over the SQLite API and nothing around it.
   Arguments: store, domain of the tenant, last id, number of reads. Prints one line of JSON. */

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static void fail(sqlite3 *store)
{
    fprintf(stderr, "%s\n", sqlite3_errmsg(store));
    exit(1);
}

static sqlite3_int64 find_tenant(sqlite3 *store, const char *domain)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(store, "SELECT tenant_id FROM tenant WHERE domain = ?", -1, &statement, NULL))
        fail(store);
    sqlite3_bind_text(statement, 1, domain, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) != SQLITE_ROW)
        fail(store);
    sqlite3_int64 tenant_id = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return tenant_id;
}

int main(int count, char **arguments)
{
    if (count != 5)
        return 2;
    long last = atol(arguments[3]), reads = atol(arguments[4]);
    static char copy[1 << 22];
    sqlite3 *store;
    sqlite3_stmt *statement;
    if (sqlite3_open_v2(arguments[1], &store, SQLITE_OPEN_READWRITE, NULL))
        fail(store);
    sqlite3_exec(store, "PRAGMA cache_size = -65536", NULL, NULL, NULL);
    sqlite3_int64 tenant_id = find_tenant(store, arguments[2]);
    if (sqlite3_prepare_v2(store,
            "SELECT document, alerts_at, spans, last_update_at FROM incident"
            " WHERE tenant_id = ? AND incident_id = ?",
            -1, &statement, NULL))
        fail(store);
    unsigned long long dice = 88172645463325252ULL, bytes = 0;
    double began = cpu_seconds();
    for (long read = 0; read < reads; read++) {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        sqlite3_bind_int64(statement, 1, tenant_id);
        sqlite3_bind_int64(statement, 2, 1 + dice % last);
        if (sqlite3_step(statement) != SQLITE_ROW)
            fail(store);
        int size = sqlite3_column_bytes(statement, 0);
        memcpy(copy, sqlite3_column_blob(statement, 0), size);
        bytes += size;
        sqlite3_reset(statement);
    }
    printf("{\"reads\":%ld,\"mean_bytes\":%llu,\"cpu_us\":%.3f}\n", reads, bytes / reads,
        (cpu_seconds() - began) / reads * 1e6);
    return 0;
}
