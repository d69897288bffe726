package peers;

import java.io.BufferedReader;
import java.io.FileOutputStream;
import java.io.FileDescriptor;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What the programs of all peers share: the stream, read into memory before anything is measured, and the talk with the
 * program that measures, line by line:
 *
 * <pre>
 * &lt; run                  go over the stream once more
 * &gt; start                the first half is done; wait
 * &lt; go
 * &gt; end RESULTS SUM      so many results came out of the whole stream, and their numbers add up to this
 * &gt; done                 all is torn down
 * </pre>
 *
 * The other side reads the processor time of this process at start and end.
 */
final class Peer {
    private Peer() {}

    /** One event of either stream; the fields of the other are empty. */
    public static final class Row {
        public long time; // milliseconds
        public String key; // device, or name
        public double temperature;
        public double vibration;
        public String status;
        public long volume;
        public double price;
    }

    /** What a rule makes of events. */
    public static final class Result {
        public final String key;
        public final double sum; // of all its numbers

        Result(String key, double sum) {
            this.key = key;
            this.sum = sum;
        }
    }

    /** The device of the last event, which only ends the windows of all others. */
    static final String END = "end";

    static final List<Row> rows = new ArrayList<>();

    private static final BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    private static final PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true);
    private static long results;
    private static double sum;

    /** A job goes over all rows once; it calls start() before row half(), result() for each result, and then end(). */
    interface Job {
        void run(String workload) throws Exception;
    }

    /** Reads the stream named by the second argument and serves until there is no more input. */
    static void serve(String[] args, Job job) throws Exception {
        read(args[1]);
        while (in.readLine() != null) {
            results = 0;
            sum = 0;
            job.run(args[0]);
            out.println("done");
        }
        System.exit(0);
    }

    private static void read(String file) throws IOException {
        try (BufferedReader lines = Files.newBufferedReader(Path.of(file))) {
            boolean trades = lines.readLine().contains("price");
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String[] f = line.split(",");
                Row r = new Row();
                r.time = Long.parseLong(f[0]);
                r.key = f[1].intern();
                if (trades) {
                    r.volume = Long.parseLong(f[2]);
                    r.price = Double.parseDouble(f[3]);
                } else {
                    r.temperature = Double.parseDouble(f[2]);
                    r.vibration = Double.parseDouble(f[3]);
                    r.status = f[4].intern();
                }
                rows.add(r);
            }
        }
    }

    /** The row before which start() is called. */
    static int half() {
        return rows.size() / 2;
    }

    static void start() {
        System.gc();
        out.println("start");
        try {
            in.readLine();
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    static void result(double x) {
        results++;
        sum += x;
    }

    static void end() {
        out.println("end " + results + " " + sum);
    }
}
