package peers;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The streams that `go run ./bench/generate` writes, read into memory before anything is measured. */
final class Events {
    private Events() {}

    /** One event of either stream; the fields of the other are empty. */
    public static final class Row {
        public long time; // milliseconds
        public String key;
        public double temperature;
        public double vibration;
        public String status;
        public double price;

        public Row() {}
    }

    /** Runs of a workload before those that are measured. */
    static final int WARM = 6;

    static List<Row> read(String file, String stream) throws IOException {
        List<Row> rows = new ArrayList<>();
        try (BufferedReader in = Files.newBufferedReader(Path.of(file))) {
            in.readLine(); // the header
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String[] f = line.split(",");
                Row r = new Row();
                r.time = Long.parseLong(f[0]);
                r.key = f[1].intern();
                if (stream.equals("telemetry")) {
                    r.temperature = Double.parseDouble(f[2]);
                    r.vibration = Double.parseDouble(f[3]);
                    r.status = f[4].intern();
                } else {
                    r.price = Double.parseDouble(f[2]);
                }
                rows.add(r);
            }
        }
        return rows;
    }

    /** Prints a result as a line of `go test -bench`, which benchstat reads. */
    static void report(String peer, String workload, int events, long wall, long cpu, long matches) {
        System.out.printf("BenchmarkPeers/%s/%s 1 %d ns/op %.1f ns/event %.1f cpu-ns/event %d matches%n",
                workload, peer, wall, (double) wall / events, (double) cpu / events, matches);
        System.out.flush();
    }

    static long cpuTime() {
        return ((com.sun.management.OperatingSystemMXBean) java.lang.management.ManagementFactory.getOperatingSystemMXBean())
                .getProcessCpuTime();
    }
}
