package peers;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.cep.CEP;
import org.apache.flink.cep.functions.PatternProcessFunction;
import org.apache.flink.cep.nfa.aftermatch.AfterMatchSkipStrategy;
import org.apache.flink.cep.pattern.Pattern;
import org.apache.flink.cep.pattern.conditions.IterativeCondition;
import org.apache.flink.cep.pattern.conditions.SimpleCondition;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.functions.source.SourceFunction;
import org.apache.flink.util.Collector;

/**
 * Flink CEP in a local environment: one slot, object reuse, state on the heap, no checkpoints, events from memory with
 * ascending times. Each run is a job of its own in one warm JVM; time counts from its first event to the last match.
 */
public final class Flink {
    private static List<Events.Row> rows;
    private static final AtomicLong begun = new AtomicLong();
    private static final AtomicLong begunCpu = new AtomicLong();
    private static final AtomicLong matches = new AtomicLong();

    /** Emits the rows, and leaves watermarks to the strategy behind it. */
    @SuppressWarnings("deprecation")
    public static final class Memory implements SourceFunction<Events.Row> {
        private volatile boolean running = true;

        @Override
        public void run(SourceContext<Events.Row> out) {
            begunCpu.set(Events.cpuTime());
            begun.set(System.nanoTime());
            for (int i = 0; i < rows.size() && running; i++) {
                out.collect(rows.get(i));
            }
        }

        @Override
        public void cancel() {
            running = false;
        }
    }

    private static SimpleCondition<Events.Row> is(org.apache.flink.api.common.functions.FilterFunction<Events.Row> f) {
        return SimpleCondition.of(f);
    }

    private static Pattern<Events.Row, ?> pattern(String workload) {
        AfterMatchSkipStrategy skip = AfterMatchSkipStrategy.skipPastLastEvent();
        if (workload.equals("telemetry")) {
            return Pattern.<Events.Row>begin("hot", skip).where(is(e -> e.temperature > 80))
                    .followedBy("spike").where(is(e -> e.vibration > 2))
                    .followedBy("stop").where(new IterativeCondition<Events.Row>() {
                        @Override
                        public boolean filter(Events.Row e, Context<Events.Row> run) throws Exception {
                            return e.status.equals("stopped")
                                    && e.temperature < run.getEventsForPattern("hot").iterator().next().temperature;
                        }
                    })
                    .within(Duration.ofMinutes(5));
        }
        return Pattern.<Events.Row>begin("a", skip).where(is(e -> e.key.equals("S01")))
                .followedBy("b").where(is(e -> e.key.equals("S02")))
                .followedBy("c").where(is(e -> e.key.equals("S03")))
                .within(Duration.ofSeconds(1));
    }

    @SuppressWarnings("deprecation")
    private static void run(String workload, boolean measured) throws Exception {
        Configuration c = new Configuration();
        c.setString("pipeline.object-reuse", "true");
        c.setString("state.backend.type", "hashmap");
        c.setString("execution.buffer-timeout.interval", "100ms");
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, c);
        matches.set(0);
        DataStream<Events.Row> in = env.addSource(new Memory(), org.apache.flink.api.common.typeinfo.TypeInformation.of(Events.Row.class))
                .assignTimestampsAndWatermarks(
                        WatermarkStrategy.<Events.Row>forMonotonousTimestamps().withTimestampAssigner((e, t) -> e.time));
        boolean keyed = workload.equals("telemetry");
        CEP.pattern(in.keyBy(e -> keyed ? e.key : ""), pattern(workload))
                .process(new PatternProcessFunction<Events.Row, Long>() {
                    @Override
                    public void processMatch(Map<String, List<Events.Row>> match, Context ctx, Collector<Long> out) {
                        matches.incrementAndGet();
                    }
                })
                .sinkTo(new DiscardingSink<>());
        env.execute();
        if (measured) {
            Events.report("flink", workload, rows.size(), System.nanoTime() - begun.get(), Events.cpuTime() - begunCpu.get(), matches.get());
        }
    }

    public static void main(String[] args) throws Exception {
        rows = Events.read(args[1], args[0]);
        for (int i = 0; i < Integer.parseInt(args[2]) + Events.WARM; i++) {
            run(args[0], i >= Events.WARM);
        }
        System.exit(0);
    }
}
