package peers;

import io.siddhi.core.SiddhiAppRuntime;
import io.siddhi.core.SiddhiManager;
import io.siddhi.core.event.Event;
import io.siddhi.core.stream.input.InputHandler;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Siddhi in its own process: no @async, which would add a thread, playback for event time, and events sent in arrays. Each
 * run is an app of its own in one warm JVM.
 *
 * <p>Siddhi has no strategy that skips past the last event: every run of a pattern that completes is a match.
 */
public final class Siddhi {
    private Siddhi() {}

    private static final String TELEMETRY =
            "@app:playback define stream T (key string, temperature double, vibration double, status string);"
                    + " partition with (key of T) begin @info(name='q')"
                    + " from every hot=T[temperature > 80.0] -> spike=T[vibration > 2.0]"
                    + " -> stop=T[status == 'stopped' and temperature < hot.temperature] within 5 min"
                    + " select hot.temperature as t insert into Out; end;";

    private static final String TRADES =
            "@app:playback define stream T (key string, price double); @info(name='q')"
                    + " from every a=T[key == 'S01'] -> b=T[key == 'S02'] -> c=T[key == 'S03'] within 1 sec"
                    + " select a.price as p insert into Out;";

    private static void run(String workload, List<Events.Row> rows, boolean measured) throws InterruptedException {
        SiddhiManager manager = new SiddhiManager();
        boolean telemetry = workload.equals("telemetry");
        SiddhiAppRuntime app = manager.createSiddhiAppRuntime(telemetry ? TELEMETRY : TRADES);
        AtomicLong matches = new AtomicLong();
        io.siddhi.core.stream.output.StreamCallback count = new io.siddhi.core.stream.output.StreamCallback() {
            @Override
            public void receive(Event[] events) {
                matches.addAndGet(events.length);
            }
        };
        app.addCallback("Out", count);
        InputHandler in = app.getInputHandler("T");
        app.start();
        Event[] events = new Event[rows.size()];
        for (int i = 0; i < events.length; i++) {
            Events.Row r = rows.get(i);
            events[i] = new Event(r.time, telemetry ? new Object[] {r.key, r.temperature, r.vibration, r.status} : new Object[] {r.key, r.price});
        }
        long cpu = Events.cpuTime();
        long wall = System.nanoTime();
        final int batch = 1000;
        for (int from = 0; from < events.length; from += batch) {
            in.send(java.util.Arrays.copyOfRange(events, from, Math.min(from + batch, events.length)));
        }
        wall = System.nanoTime() - wall;
        cpu = Events.cpuTime() - cpu;
        if (measured) {
            Events.report("siddhi", workload, events.length, wall, cpu, matches.get());
        }
        app.shutdown();
        manager.shutdown();
    }

    public static void main(String[] args) throws Exception {
        List<Events.Row> rows = Events.read(args[1], args[0]);
        for (int i = 0; i < Integer.parseInt(args[2]) + Events.WARM; i++) {
            run(args[0], rows, i >= Events.WARM);
        }
        System.exit(0);
    }
}
