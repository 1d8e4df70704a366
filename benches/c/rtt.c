/* The floor of a request and its reply: bare reads and writes that move the same bytes as an SCPI query.
   rtt pty SLAVE REQUEST ROUNDS | rtt tcp PORT REQUEST ROUNDS: asks whoever serves there, and prints the median in nanoseconds.
   cc -O2 rtt.c -o rtt */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}
static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    int fd, rounds = atoi(argv[4]);
    if (!strcmp(argv[1], "pty")) {
        struct termios raw;
        fd = open(argv[2], O_RDWR | O_NOCTTY);
        if (fd < 0 || tcgetattr(fd, &raw)) return 3;
        cfmakeraw(&raw);
        cfsetspeed(&raw, B38400);
        tcsetattr(fd, TCSANOW, &raw);
    } else {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int one = 1;
        fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (void *)&to, sizeof to)) return 3;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    char buffer[4096];
    size_t length = strlen(argv[3]);
    double *took = malloc(rounds * sizeof *took);
    for (int i = 0; i < rounds; i++) {
        double begun = now();
        if (write(fd, argv[3], length) != (ssize_t)length || write(fd, "\n", 1) != 1) return 4;
        int n = 0, got;
        do {
            got = read(fd, buffer + n, sizeof buffer - n);
            if (got <= 0) return 5;
            n += got;
        } while (buffer[n - 1] != '\n');
        took[i] = now() - begun;
    }
    qsort(took, rounds, sizeof *took, compare);
    printf("%.0f\n", took[rounds / 2]);
    return 0;
}
